#ifndef WARREN_RUNTIME_BASE_STATUS_H_
#define WARREN_RUNTIME_BASE_STATUS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <utility>

// The error model of the whole tree (runtime/init apart, which only knows
// errno): absl::Status with a message that is a breadcrumb from outside in,
// each layer adding what it attempted and on what. No trailing period.
namespace warren::base {

// errno as a Status: kInternal, or kResourceExhausted for ENOSPC, EDQUOT,
// ENOMEM, EMFILE and ENFILE. Never
// NOT_FOUND: to a kubelet that code means "the pod is gone", and only the
// owner of that meaning may say it. The number rides along as a payload.
absl::Status ErrnoError(int err, absl::string_view where);

// The errno behind a Status, 0 when there is none.
int GetErrno(const absl::Status& status);

// `status` with "where: " put before its message; code and payloads stay. OK
// stays OK.
absl::Status Annotate(const absl::Status& status, absl::string_view where);

// Keeps the first error of two outcomes; used where clean-up goes on after a
// failure.
void Update(absl::Status* first, const absl::Status& next);

}  // namespace warren::base

// Returns the error of `expr` from the enclosing function.
#define RETURN_IF_ERROR(expr)                                               \
  do {                                                                      \
    if (absl::Status _warren_s = (expr); !_warren_s.ok()) return _warren_s; \
  } while (false)

// The same with a breadcrumb in front.
#define RETURN_IF_ERROR_IN(expr, where)                   \
  do {                                                    \
    if (absl::Status _warren_s = (expr); !_warren_s.ok()) \
      return ::warren::base::Annotate(_warren_s, where);  \
  } while (false)

#define WARREN_CONCAT_INNER(a, b) a##b
#define WARREN_CONCAT(a, b) WARREN_CONCAT_INNER(a, b)

// ASSIGN_OR_RETURN(auto x, F()): x becomes the value of F() or the enclosing
// function returns its error.
#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_IMPL(WARREN_CONCAT(_warren_so_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr)    \
  auto tmp = (expr);                             \
  if (!tmp.ok()) return std::move(tmp).status(); \
  lhs = std::move(tmp).value()

// The same with a breadcrumb in front of the error.
#define ASSIGN_OR_RETURN_IN(lhs, expr, where)                               \
  ASSIGN_OR_RETURN_IN_IMPL(WARREN_CONCAT(_warren_so_, __LINE__), lhs, expr, \
                           where)
#define ASSIGN_OR_RETURN_IN_IMPL(tmp, lhs, expr, where)                \
  auto tmp = (expr);                                                   \
  if (!tmp.ok()) return ::warren::base::Annotate(tmp.status(), where); \
  lhs = std::move(tmp).value()

#endif  // WARREN_RUNTIME_BASE_STATUS_H_
