// FS-1 with power: a process that exchanges what is at a path with something
// else, as fast as it can, against the way mounts find their places. A control
// does it the usual way, look first and use the path then, and must be caught
// out often enough to show that the attack works.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "runtime/base/file.h"
#include "runtime/base/mount_calls.h"
#include "runtime/base/unique_fd.h"
#include "runtime/init/target.h"
#include "runtime/mounts/host_path.h"

namespace warren::runtime {
namespace {

constexpr int kAttempts = 100'000;
constexpr int kEscapes = 100;  // of the control, at least
constexpr std::chrono::seconds kControlLimit(30);

class MountRace : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: mounts";
    char path[] = "/tmp/warren-mount-race-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    path_ = path;
    // Mounts of this test's thread are nobody else's.
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    for (const char* sub : {"/root", "/root/d", "/root/d/at", "/outside",
                            "/outside/at", "/volume"}) {
      ASSERT_EQ(mkdir((path_ + sub).c_str(), 0755), 0);
    }
    ASSERT_EQ(
        symlink((path_ + "/outside").c_str(), (path_ + "/root/l").c_str()), 0);
    root_ = base::UniqueFd(
        open((path_ + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct stat st;
    ASSERT_EQ(stat((path_ + "/outside/at").c_str(), &st), 0);
    outside_ = st.st_ino;
  }
  void TearDown() override {
    if (path_.empty()) return;
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, path_).ok());
  }

  // Runs `attempt` with `a` and `b` below the root changing places.
  template <typename Attempt>
  void UnderAttack(const char* a, const char* b, Attempt attempt) {
    std::atomic<bool> stop{false};
    std::thread attacker([&] {
      while (!stop) {
        syscall(SYS_renameat2, root_.get(), a, root_.get(), b, 2);
      }
    });
    attempt();
    stop = true;
    attacker.join();
  }

  bool IsOutside(int fd) const {
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_ino == outside_;
  }

  std::string path_;
  base::UniqueFd root_;
  ino_t outside_ = 0;
};

TEST_F(MountRace, FS_1_TargetsNeverLeaveTheRoot) {
  const base::UniqueFd volume(
      open((path_ + "/volume").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  int control = 0;
  int found = 0;
  int mounted = 0;
  int escaped = 0;
  UnderAttack("d", "l", [&] {
    const std::string directory = path_ + "/root/d";
    const auto end = std::chrono::steady_clock::now() + kControlLimit;
    while (control < kEscapes && std::chrono::steady_clock::now() < end) {
      struct stat st;
      if (lstat(directory.c_str(), &st) != 0 || !S_ISDIR(st.st_mode)) continue;
      std::this_thread::yield();  // lets the attacker in on a busy machine
      const base::UniqueFd fd(
          open((directory + "/at").c_str(), O_PATH | O_CLOEXEC));
      if (fd.valid() && IsOutside(fd.get())) ++control;
    }
    for (int i = 0; i < kAttempts; ++i) {
      if (i % 16 == 0) std::this_thread::yield();
      int fd = -1;
      if (init::OpenTarget(root_.get(), "/d/at", {.create = true}, &fd) != 0) {
        continue;
      }
      const base::UniqueFd target(fd);
      ++found;
      if (IsOutside(fd)) ++escaped;
      if (i % 20 != 0) continue;
      // And all the way, now and then.
      const auto tree = base::CloneTree(volume.get(), "", false);
      if (!tree.ok() || !base::AttachMount(tree->get(), fd).ok()) continue;
      ++mounted;
      struct stat st;
      struct stat there;
      ASSERT_EQ(fstat(tree->get(), &st), 0);
      ASSERT_EQ(stat((path_ + "/outside/at").c_str(), &there), 0);
      if (st.st_ino == there.st_ino) ++escaped;
      ASSERT_EQ(
          umount2(("/proc/self/fd/" + std::to_string(tree->get())).c_str(),
                  MNT_DETACH),
          0);
    }
  });
  EXPECT_GE(control, kEscapes) << "the attack has no power here";
  EXPECT_GT(found, kAttempts / 4);
  EXPECT_GT(mounted, 0);
  EXPECT_EQ(escaped, 0);
}

// The last part of a source changes between a directory and a file: what was
// looked at is what is mounted.
TEST_F(MountRace, FS_6_ASourceIsWhatItWasTakenFor) {
  ASSERT_EQ(close(open((path_ + "/root/f").c_str(),
                       O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)),
            0);
  const std::string source = path_ + "/root/d";
  int control = 0;
  int directories = 0;
  int files = 0;
  int wrong = 0;
  UnderAttack("d", "f", [&] {
    const auto end = std::chrono::steady_clock::now() + kControlLimit;
    while (control < kEscapes && std::chrono::steady_clock::now() < end) {
      struct stat st;
      if (stat(source.c_str(), &st) != 0) continue;
      std::this_thread::yield();
      const base::UniqueFd fd(open(source.c_str(), O_PATH | O_CLOEXEC));
      struct stat then;
      if (fd.valid() && fstat(fd.get(), &then) == 0 &&
          S_ISDIR(st.st_mode) != S_ISDIR(then.st_mode)) {
        ++control;
      }
    }
    for (int i = 0; i < kAttempts; ++i) {
      const auto tree = OpenHostPath(source, {});
      if (!tree.ok()) continue;
      struct stat st;
      ASSERT_EQ(fstat(tree->mount.get(), &st), 0);
      ++(S_ISDIR(st.st_mode) ? directories : files);
      if (S_ISDIR(st.st_mode) == tree->is_file) ++wrong;
    }
  });
  EXPECT_GE(control, kEscapes) << "the attack has no power here";
  EXPECT_GT(directories, 0);
  EXPECT_GT(files, 0);
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace warren::runtime
