#include "runtime/base/status.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace warren::base {
namespace {

TEST(ErrnoError, IsNeverNotFound) {
  for (const int err : {ENOENT, ESRCH, ENODEV, EEXIST, EINVAL, EPERM, EBUSY}) {
    const absl::Status status = ErrnoError(err, "open x");
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << err;
    EXPECT_EQ(GetErrno(status), err);
  }
  for (const int err : {ENOSPC, EDQUOT, ENOMEM, EMFILE, ENFILE}) {
    EXPECT_EQ(ErrnoError(err, "x").code(),
              absl::StatusCode::kResourceExhausted);
  }
  EXPECT_EQ(ErrnoError(ENOENT, "open x").message(),
            "open x: No such file or directory");
}

TEST(Annotate, AddsABreadcrumbAndKeepsTheRest) {
  const absl::Status status =
      Annotate(Annotate(ErrnoError(EPERM, "mount"), "start"), "container 1");
  EXPECT_EQ(status.message(),
            "container 1: start: mount: Operation not permitted");
  EXPECT_EQ(GetErrno(status), EPERM);
  EXPECT_TRUE(Annotate(absl::OkStatus(), "x").ok());
  EXPECT_EQ(Annotate(absl::NotFoundError("pod"), "x").code(),
            absl::StatusCode::kNotFound);
}

TEST(GetErrno, IsZeroWithoutOne) {
  EXPECT_EQ(GetErrno(absl::OkStatus()), 0);
  EXPECT_EQ(GetErrno(absl::InternalError("x")), 0);
}

TEST(Update, KeepsTheFirstError) {
  absl::Status status;
  Update(&status, absl::OkStatus());
  EXPECT_TRUE(status.ok());
  Update(&status, absl::InternalError("first"));
  Update(&status, absl::InternalError("second"));
  EXPECT_EQ(status.message(), "first");
}

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return absl::InvalidArgumentError("odd");
  return n / 2;
}

absl::StatusOr<int> Quarter(int n) {
  ASSIGN_OR_RETURN(const int half, Half(n));
  ASSIGN_OR_RETURN_IN(const int quarter, Half(half), "second half");
  return quarter;
}

TEST(Macros, ReturnErrorsEarly) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(3).status().message(), "odd");
  EXPECT_EQ(Quarter(6).status().message(), "second half: odd");
  const auto check = [](bool ok) -> absl::Status {
    RETURN_IF_ERROR_IN(ok ? absl::OkStatus() : absl::InternalError("no"),
                       "check");
    return absl::OkStatus();
  };
  EXPECT_TRUE(check(true).ok());
  EXPECT_EQ(check(false).message(), "check: no");
}

}  // namespace
}  // namespace warren::base
