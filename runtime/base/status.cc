#include "runtime/base/status.h"

#include <absl/strings/cord.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace warren::base {
namespace {

constexpr char kErrnoPayload[] = "warren/errno";

absl::StatusCode CodeOf(int err) {
  switch (err) {
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return absl::StatusCode::kResourceExhausted;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

absl::Status ErrnoError(int err, absl::string_view where) {
  char buffer[128];
  // GNU strerror_r: thread-safe, returns the text.
  const char* text = strerror_r(err, buffer, sizeof(buffer));
  absl::Status status(CodeOf(err), absl::StrCat(where, ": ", text));
  status.SetPayload(kErrnoPayload, absl::Cord(absl::StrCat(err)));
  return status;
}

int GetErrno(const absl::Status& status) {
  const auto payload = status.GetPayload(kErrnoPayload);
  int err = 0;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &err)) return 0;
  return err;
}

absl::Status Annotate(const absl::Status& status, absl::string_view where) {
  if (status.ok()) return status;
  absl::Status out(status.code(), absl::StrCat(where, ": ", status.message()));
  status.ForEachPayload(
      [&out](absl::string_view url, const absl::Cord& payload) {
        out.SetPayload(url, payload);
      });
  return out;
}

void Update(absl::Status* first, const absl::Status& next) {
  if (first->ok()) *first = next;
}

}  // namespace warren::base
