#ifndef WARREN_RUNTIME_SHIM_TERMINAL_H_
#define WARREN_RUNTIME_SHIM_TERMINAL_H_

#include <cstdint>

#include "warren/shim/v1/shim.pb.h"

namespace warren::shim {

// Rows or columns as winsize(2 of ioctl_tty) has them: what is above 65535 is
// that.
uint16_t TerminalLength(uint32_t length);

// TIOCSWINSZ of the terminal behind `master`. 0 or errno; ENOTTY when it is
// none, -1 included.
int ResizeTerminal(int master, const v1::Resize& size);

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_TERMINAL_H_
