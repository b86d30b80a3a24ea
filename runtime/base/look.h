#ifndef WARREN_RUNTIME_BASE_LOOK_H_
#define WARREN_RUNTIME_BASE_LOOK_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <optional>
#include <utility>

// What a look at the system came to. There are three answers, and a caller has
// to take them apart:
//
//   a value   it is there
//   nullopt   it is not there; that is proven
//   an error  nobody knows: no descriptor or memory was left, the disk failed,
//             the other side did not answer in time
//
// On the third nothing is killed, removed or forgotten: the caller keeps the
// object, says so, and looks again.
namespace warren::base {

template <typename T>
using Look = absl::StatusOr<std::optional<T>>;

// True when a call that ended with errno `error` proves that what was named is
// not there: ENOENT, ENOTDIR (a part of the path is a file), ESRCH (process),
// ECONNREFUSED (nobody listens at a socket), ENODEV (network link). Everything
// else, 0 included, proves nothing.
bool ProvesAbsence(int error);
// The same of a status, by kNotFound or the errno that it carries.
bool ProvesAbsence(const absl::Status& status);

// A result whose error may be an absence.
template <typename T>
Look<T> ToLook(absl::StatusOr<T> result) {
  if (result.ok()) return std::make_optional(*std::move(result));
  if (ProvesAbsence(result.status())) return std::optional<T>();
  return std::move(result).status();
}

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_LOOK_H_
