// FS-10: a volume gets its label by descriptors only: nothing outside of it
// does, whatever is in it and whoever changes it meanwhile. The kernel keeps
// security.selinux for root whether SELinux is on or not.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/mounts/label.h"
#include "runtime/mounts/sources.h"

namespace warren::runtime {
namespace {

using ::testing::HasSubstr;

constexpr char kName[] = "security.selinux";
constexpr char kLabel[] = "system_u:object_r:container_file_t:s0:c1,c2";
constexpr char kOther[] = "system_u:object_r:container_file_t:s0:c3";
constexpr int kRaces = 500;
constexpr std::chrono::seconds kRaceLimit(60);

class LabelTreeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: security attributes";
    if (access("/sys/fs/selinux/enforce", F_OK) == 0) {
      GTEST_SKIP() << "SELinux is on: e2e_process_test labels for real";
    }
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    char path[] = "/tmp/warren-file-label-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    path_ = path;
    ASSERT_EQ(mount("tmpfs", path, "tmpfs", 0, nullptr), 0);
    for (const char* directory : {"/v", "/v/sub", "/v/sub/deep", "/v/mount",
                                  "/outside", "/outside/sub"}) {
      ASSERT_EQ(mkdir((path_ + directory).c_str(), 0755), 0);
    }
    for (const char* file : {"/v/file", "/v/sub/deep/file", "/outside/file",
                             "/outside/sub/file"}) {
      Touch(path_ + file);
    }
  }
  void TearDown() override {
    if (path_.empty()) return;
    umount2(path_.c_str(), MNT_DETACH);
    rmdir(path_.c_str());
  }

  static void Touch(const std::string& path) {
    ASSERT_TRUE(base::OpenAt(AT_FDCWD, path, O_WRONLY | O_CREAT, 0644).ok());
  }
  // Of the file itself; "" = none.
  std::string LabelOf(const std::string& name) const {
    char label[256] = {};
    const ssize_t n =
        lgetxattr((path_ + name).c_str(), kName, label, sizeof(label) - 1);
    return n < 0 ? "" : std::string(label);
  }
  absl::Status Label(const std::string& name, const std::string& label,
                     int max_depth = kMaxLabelDepth) const {
    ASSIGN_OR_RETURN(const base::UniqueFd place,
                     base::OpenAt(AT_FDCWD, path_ + name, O_PATH));
    return LabelTree(place.get(), label, max_depth);
  }
  void ExpectOutsideUntouched() const {
    for (const char* name : {"", "/outside", "/outside/file", "/outside/sub",
                             "/outside/sub/file"}) {
      EXPECT_EQ(LabelOf(name), "") << name;
    }
  }

  std::string path_;
};

TEST_F(LabelTreeTest, FS_10_EverythingBelowAndNothingElse) {
  ASSERT_EQ(symlink((path_ + "/outside").c_str(), (path_ + "/v/l").c_str()), 0);
  ASSERT_EQ(symlink("../outside/file", (path_ + "/v/sub/l").c_str()), 0);
  ASSERT_EQ(mkfifo((path_ + "/v/fifo").c_str(), 0600), 0);
  // Another file system, and another mount of the same one.
  ASSERT_EQ(mount("tmpfs", (path_ + "/v/mount").c_str(), "tmpfs", 0, nullptr),
            0);
  Touch(path_ + "/v/mount/file");
  ASSERT_EQ(mkdir((path_ + "/v/bind").c_str(), 0755), 0);
  ASSERT_EQ(mount((path_ + "/outside").c_str(), (path_ + "/v/bind").c_str(),
                  nullptr, MS_BIND, nullptr),
            0);
  ASSERT_TRUE(Label("/v", kLabel).ok());
  for (const char* name : {"/v", "/v/file", "/v/sub", "/v/sub/deep",
                           "/v/sub/deep/file", "/v/l", "/v/sub/l", "/v/fifo"}) {
    EXPECT_EQ(LabelOf(name), kLabel) << name;
  }
  EXPECT_EQ(LabelOf("/v/mount"), "");
  EXPECT_EQ(LabelOf("/v/mount/file"), "");
  ExpectOutsideUntouched();
  // Another label, of a single file; what has it already is not written to.
  ASSERT_TRUE(Label("/v/file", kOther).ok());
  EXPECT_EQ(LabelOf("/v/file"), kOther);
  EXPECT_EQ(LabelOf("/v"), kLabel);
  struct stat before, after;
  ASSERT_EQ(stat((path_ + "/v/file").c_str(), &before), 0);
  ASSERT_TRUE(Label("/v/file", kOther).ok());
  ASSERT_EQ(stat((path_ + "/v/file").c_str(), &after), 0);
  EXPECT_EQ(before.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
}

TEST_F(LabelTreeTest, FS_10_DepthIsBounded) {
  ASSERT_TRUE(Label("/v", kLabel, 3).ok());
  EXPECT_EQ(LabelOf("/v/sub/deep/file"), kLabel);
  ASSERT_TRUE(Label("/v", kOther, 2).ok());
  EXPECT_EQ(LabelOf("/v/sub/deep"), kOther);
  EXPECT_EQ(LabelOf("/v/sub/deep/file"), kLabel) << "passed over";
  std::string deep = path_ + "/v";
  for (int i = 0; i < kMaxLabelDepth + 10; ++i) {
    ASSERT_EQ(mkdir((deep += "/d").c_str(), 0755), 0);
  }
  EXPECT_TRUE(Label("/v", kLabel).ok());
}

// A container's sources are opened again after a restart of the agent.
TEST_F(LabelTreeTest, FS_10_WhatIsOpenedAgainKeepsItsLabel) {
  PlannedMount mount;
  mount.source = MountSource::kHostPath;
  mount.path = path_ + "/v";
  mount.label = kLabel;
  MountPlaces places;
  places.creating = true;
  ASSERT_TRUE(OpenMountSources({mount}, places).ok());
  EXPECT_EQ(LabelOf("/v/file"), kLabel);
  ASSERT_TRUE(Label("/v", kOther).ok());
  places.creating = false;
  ASSERT_TRUE(OpenMountSources({mount}, places).ok());
  EXPECT_EQ(LabelOf("/v"), kOther);
  EXPECT_EQ(LabelOf("/v/file"), kOther);
}

TEST_F(LabelTreeTest, WhatCannotBeLabelled) {
  // procfs has no labels without SELinux: no error, no effect.
  const auto proc = base::OpenAt(AT_FDCWD, "/proc/sys", O_PATH);
  ASSERT_TRUE(proc.ok());
  EXPECT_TRUE(LabelTree(proc->get(), kLabel).ok());
  EXPECT_TRUE(LabelFile(proc->get(), kLabel).ok());
  ASSERT_EQ(
      mount("tmpfs", (path_ + "/v/mount").c_str(), "tmpfs", MS_RDONLY, nullptr),
      0);
  const absl::Status status = Label("/v/mount", kLabel);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("read-only"));
}

TEST_F(LabelTreeTest, FS_10_NoExchangedLinkLeadsElsewhere) {
  ASSERT_EQ(symlink((path_ + "/outside").c_str(), (path_ + "/v/l").c_str()), 0);
  const std::string sub = path_ + "/v/sub", link = path_ + "/v/l";
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> exchanges{0};
  std::thread attacker([&] {
    while (!stop) {
      if (syscall(SYS_renameat2, AT_FDCWD, sub.c_str(), AT_FDCWD, link.c_str(),
                  2) == 0) {
        ++exchanges;
      }
    }
  });
  // Until the two have changed places in enough runs, however busy the machine.
  const auto limit = std::chrono::steady_clock::now() + kRaceLimit;
  int seen = 0;
  for (int i = 0; i < 2'000 || seen < kRaces; ++i) {
    if (std::chrono::steady_clock::now() > limit) break;
    const uint64_t before = exchanges;
    const absl::Status status = Label("/v", i % 2 == 0 ? kLabel : kOther);
    EXPECT_TRUE(status.ok()) << status;
    if (exchanges != before) ++seen;
  }
  stop = true;
  attacker.join();
  EXPECT_GE(seen, kRaces) << "the attacker did too little";
  ExpectOutsideUntouched();
}

TEST_F(LabelTreeTest, FS_10_FoldersOfTheNodeAreRefused) {
  ASSERT_EQ(symlink("/etc", (path_ + "/v/etc").c_str()), 0);
  ASSERT_EQ(
      mount("/var", (path_ + "/v/mount").c_str(), nullptr, MS_BIND, nullptr),
      0);
  const std::vector<std::string> own = {path_ + "/outside/sub"};
  const auto check = [&own](const std::string& path) {
    const auto place = base::OpenAt(AT_FDCWD, path, O_PATH);
    return place.ok() ? CheckMayLabel(place->get(), own) : place.status();
  };
  for (const std::string& path :
       {std::string("/"), std::string("/etc"), std::string("/etc/../home"),
        std::string("/etc/passwd"), std::string("/usr/share"),
        std::string("/proc/sys"), std::string("/dev/shm"), std::string("/bin"),
        std::string("/var/lib"), std::string("/tmp"), path_ + "/v/etc", own[0],
        own[0] + "/file", path_ + "/outside", path_ + "/v/mount"}) {
    EXPECT_EQ(check(path).code(), absl::StatusCode::kInvalidArgument) << path;
  }
  // Volumes lie in the kubelet's directory.
  ASSERT_EQ(mount("tmpfs", "/var/lib", "tmpfs", 0, nullptr), 0);
  ASSERT_EQ(mkdir("/var/lib/kubelet", 0755), 0);
  ASSERT_EQ(mkdir("/var/lib/kubelet/pods", 0755), 0);
  EXPECT_FALSE(check("/var/lib/kubelet").ok());
  EXPECT_TRUE(check("/var/lib/kubelet/pods").ok());
  ASSERT_EQ(umount2("/var/lib", MNT_DETACH), 0);
  EXPECT_TRUE(check(path_ + "/v").ok());
  EXPECT_TRUE(check(path_ + "/v/file").ok());
}

}  // namespace
}  // namespace warren::runtime
