// warrenctl: the command line of a Warren node. See README.md.
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "agent/ctl/app.h"

int main(int argc, char** argv) {
  namespace ctl = warren::agent::ctl;
  ctl::Output output;
  output.out = &std::cout;
  output.err = &std::cerr;
  output.terminal = ::isatty(STDOUT_FILENO) == 1;
  // https://no-color.org: any value that is not empty turns colour off.
  const char* no_colour = std::getenv("NO_COLOR");
  output.colour =
      output.terminal && (no_colour == nullptr || no_colour[0] == '\0');
  const int code = ctl::RunWarrenctl(
      std::vector<std::string>(argv + 1, argv + argc), output);
  std::cout.flush();
  return code == ctl::kExitOk && !std::cout.good() ? ctl::kExitFailed : code;
}
