#include "runtime/shim/terminal.h"

#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>
#include <cerrno>

namespace warren::shim {

uint16_t TerminalLength(uint32_t length) {
  return static_cast<uint16_t>(std::min<uint32_t>(length, UINT16_MAX));
}

int ResizeTerminal(int master, const v1::Resize& size) {
  if (master < 0) return ENOTTY;
  winsize window = {};
  window.ws_row = TerminalLength(size.rows());
  window.ws_col = TerminalLength(size.columns());
  return ioctl(master, TIOCSWINSZ, &window) == 0 ? 0 : errno;
}

}  // namespace warren::shim
