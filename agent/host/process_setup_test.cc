#include "agent/host/process_setup.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdlib>
#include <string>

#include "runtime/base/file.h"

namespace warren::agent {
namespace {

TEST(ProcessSetupTest, API_8_NoCoreDumpsAndNotDumpable) {
  for (const std::string& refused : HardenProcess()) {
    // The one thing that a lesser root may not do.
    EXPECT_NE(refused.find("OOM score"), std::string::npos) << refused;
  }
  rlimit core = {1, 1};
  ASSERT_EQ(getrlimit(RLIMIT_CORE, &core), 0);
  EXPECT_EQ(core.rlim_cur, 0u);
  EXPECT_EQ(prctl(PR_GET_DUMPABLE), 0);
  EXPECT_EQ(umask(077), 077u);
  rlimit files = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  EXPECT_EQ(files.rlim_cur, files.rlim_max);
}

TEST(ProcessSetupTest, OneDaemonForEachStateFolder) {
  char directory[] = "/tmp/warren-lock-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string state = std::string(directory) + "/deep/state";
  {
    const absl::StatusOr<base::UniqueFd> first = LockState(state);
    ASSERT_TRUE(first.ok()) << first.status();
    EXPECT_EQ(LockState(state).status().code(),
              absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(LockState(state + "2").ok());
  }
  EXPECT_TRUE(LockState(state).ok());
  EXPECT_TRUE(base::RemoveTree(AT_FDCWD, directory).ok());
}

}  // namespace
}  // namespace warren::agent
