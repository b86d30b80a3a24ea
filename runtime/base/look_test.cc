#include "runtime/base/look.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "runtime/base/status.h"

namespace warren::base {
namespace {

TEST(LookTest, OnlyAFewErrorsProveAbsence) {
  for (const int error : {ENOENT, ENOTDIR, ESRCH, ECONNREFUSED, ENODEV}) {
    const auto look = ToLook(absl::StatusOr<int>(ErrnoError(error, "x")));
    ASSERT_TRUE(look.ok()) << error;
    EXPECT_FALSE(look->has_value()) << error;
  }
  for (const int error : {EMFILE, ENFILE, ENOMEM, EIO, EACCES, EPERM, EAGAIN,
                          EINTR, ETIMEDOUT, ELOOP, ENOSPC}) {
    const auto look = ToLook(absl::StatusOr<int>(ErrnoError(error, "x")));
    EXPECT_EQ(GetErrno(look.status()), error);
  }
  EXPECT_FALSE(ToLook(absl::StatusOr<int>(absl::InternalError("x"))).ok());
  EXPECT_FALSE(
      ToLook(absl::StatusOr<int>(absl::DeadlineExceededError("x"))).ok());
}

TEST(LookTest, WhatIsThereIsTheAnswer) {
  const auto look = ToLook(absl::StatusOr<std::string>("here"));
  ASSERT_TRUE(look.ok());
  EXPECT_EQ(*look, "here");
}

TEST(LookTest, NotFoundIsAbsenceUnlessItsErrnoSaysOtherwise) {
  EXPECT_TRUE(ProvesAbsence(absl::NotFoundError("process 7 is gone")));
  EXPECT_FALSE(ProvesAbsence(absl::OkStatus()));
  EXPECT_FALSE(ProvesAbsence(0));
}

}  // namespace
}  // namespace warren::base
