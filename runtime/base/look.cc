#include "runtime/base/look.h"

#include <cerrno>

#include "runtime/base/status.h"

namespace warren::base {

bool ProvesAbsence(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ESRCH:
    case ECONNREFUSED:
    case ENODEV:
      return true;
    default:
      return false;
  }
}

bool ProvesAbsence(const absl::Status& status) {
  const int error = GetErrno(status);
  if (error != 0) return ProvesAbsence(error);
  return absl::IsNotFound(status);
}

}  // namespace warren::base
