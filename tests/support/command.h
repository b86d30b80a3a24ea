#ifndef WARREN_TESTS_SUPPORT_COMMAND_H_
#define WARREN_TESTS_SUPPORT_COMMAND_H_

#include <string>
#include <vector>

namespace warren::test {

// What a program printed and how it ended.
struct CommandResult {
  int exit_code = -1;  // 128 + n when killed by signal n, -1 when not started
  std::string out;     // stdout
  std::string err;     // stderr
};

// Runs args[0] (looked up in the usual system directories) to its end with an
// empty stdin. For what a test checks from outside; the product itself never
// does this.
CommandResult RunCommand(const std::vector<std::string>& args);

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_COMMAND_H_
