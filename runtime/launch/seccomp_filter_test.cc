#include "runtime/launch/seccomp_filter.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cerrno>
#include <string>

#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

using ::testing::HasSubstr;

class SeccompFilter : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "/filterXXXXXX";
    ASSERT_NE(mkdtemp(path_.data()), nullptr);
    auto dir = base::OpenAt(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(dir.ok()) << dir.status();
    dir_ = *std::move(dir);
  }
  void TearDown() override {
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, path_).ok());
  }

  void Write(const char* name, const std::string& text) {
    EXPECT_TRUE(base::WriteFileAtomic(dir_.get(), name, text, 0600).ok());
  }
  SeccompChoice Localhost(const std::string& name) const {
    return {SeccompMode::kLocalhost, path_ + "/" + name};
  }
  absl::StatusOr<seccomp::ProgramPtr> Make(const SeccompChoice& choice) {
    return MakeFilter(choice, 0, &cache_);
  }
  absl::StatusOr<seccomp::ProgramPtr> Load(const SeccompChoice& choice) {
    return LoadFilter(dir_.get(), choice, 0, &cache_);
  }

  std::string path_;
  base::UniqueFd dir_;
  seccomp::ProgramCache cache_{*seccomp::ThisHost()};
};

TEST_F(SeccompFilter, UnconfinedIsNoneAndLeavesNoFile) {
  EXPECT_EQ(*Make({}), nullptr);
  EXPECT_TRUE(SaveFilter(dir_.get(), nullptr).ok());
  EXPECT_TRUE(base::ListDir(dir_.get(), ".")->empty());
  EXPECT_EQ(*Load({}), nullptr);
}

TEST_F(SeccompFilter, WhatWasSavedCountsNotTheProfile) {
  Write("p.json", R"({"defaultAction":"SCMP_ACT_LOG",
                      "flags":["SECCOMP_FILTER_FLAG_LOG"]})");
  const auto made = Make(Localhost("p.json"));
  ASSERT_TRUE(made.ok()) << made.status();
  ASSERT_NE(*made, nullptr);
  ASSERT_TRUE(SaveFilter(dir_.get(), *made).ok());
  Write("p.json", "no profile");
  const auto loaded = Load(Localhost("p.json"));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(**loaded, **made);
  EXPECT_NE((*loaded)->flags, 0u);
}

TEST_F(SeccompFilter, ALostFilterIsNeverNone) {
  const SeccompChoice standard = {SeccompMode::kRuntimeDefault, ""};
  const auto made = Load(standard);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_NE(*made, nullptr) << "made anew";
  EXPECT_TRUE(absl::IsDataLoss(Load(Localhost("p.json")).status()));
  for (const char* text : {"", "rubbish", "\x08\x01"}) {
    Write("filter.pb", text);
    EXPECT_TRUE(absl::IsDataLoss(Load(standard).status())) << text;
    EXPECT_TRUE(absl::IsDataLoss(Load(Localhost("p.json")).status())) << text;
  }
}

TEST_F(SeccompFilter, REL_2_OneThatCannotBeLookedAtIsNotLost) {
  ASSERT_TRUE(
      SaveFilter(dir_.get(), *Load({SeccompMode::kRuntimeDefault, ""})).ok());
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto loaded = Load({SeccompMode::kRuntimeDefault, ""});
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(base::GetErrno(loaded.status()), EMFILE) << loaded.status();
  EXPECT_TRUE(Load({SeccompMode::kRuntimeDefault, ""}).ok());
}

TEST_F(SeccompFilter, ErrorsNameFieldAndFile) {
  const auto missing = Make(Localhost("none.json"));
  EXPECT_TRUE(absl::IsFailedPrecondition(missing.status()));
  EXPECT_THAT(std::string(missing.status().message()),
              HasSubstr("security_context.seccomp: profile \"" + path_ +
                        "/none.json\": is not there"));
  Write("bad.json", "{\"defaultAction\":\"x\"}");
  const auto bad = Make(Localhost("bad.json"));
  EXPECT_TRUE(absl::IsInvalidArgument(bad.status()));
  EXPECT_THAT(std::string(bad.status().message()),
              HasSubstr("/bad.json\": defaultAction: \"x\" is unknown"));
  EXPECT_TRUE(absl::IsInvalidArgument(Make(Localhost("")).status()))
      << "a directory";
}

}  // namespace
}  // namespace warren::runtime
