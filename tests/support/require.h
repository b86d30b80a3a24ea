#ifndef WARREN_TESTS_SUPPORT_REQUIRE_H_
#define WARREN_TESTS_SUPPORT_REQUIRE_H_

#include <string>

// What a test needs of the host. Each function returns why it is missing,
// empty when it is there; use it with WARREN_REQUIRE, which skips loudly.
namespace warren::test {

std::string MissingRoot();
// A namespace kind as in /proc/self/ns: "time", "cgroup", ….
std::string MissingNamespace(const std::string& kind);
// A capability by its number in capability(7), in the effective set.
std::string MissingCapability(int number);
// Programs on the machine that only tests use.
std::string MissingProgram(const std::string& name);

}  // namespace warren::test

#define WARREN_REQUIRE(missing)                            \
  do {                                                     \
    const std::string _warren_why = (missing);             \
    if (!_warren_why.empty()) GTEST_SKIP() << _warren_why; \
  } while (false)

#endif  // WARREN_TESTS_SUPPORT_REQUIRE_H_
