#ifndef WARREN_RUNTIME_SHIM_FAILURE_H_
#define WARREN_RUNTIME_SHIM_FAILURE_H_

#include <string>
#include <utility>

namespace warren::shim {

// Why a launch did not work, as it goes to the agent: the error model of the
// shim, which has no absl::Status to stay small. error 0 = it worked.
struct [[nodiscard]] Failure {
  const char* step = "";  // stable name; static storage
  int error = 0;          // errno
  std::string detail;     // what it was about, such as a path
  bool failed() const { return error != 0; }
};

inline Failure Fail(const char* step, int error, std::string detail = "") {
  return {step, error, std::move(detail)};
}

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_FAILURE_H_
