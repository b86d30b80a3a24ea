// IMG-1: the walls of the unpacker, seen from outside while it works.

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/image/limits.h"
#include "runtime/image/testing/tar_builder.h"
#include "runtime/image/unpack_protocol.h"
#include "tests/support/patience.h"

namespace warren::image {
namespace {

// A helper with one file unpacked that waits for the rest of its archive.
class UnpackWalls : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to unpack layers";
    char name[] = "/tmp/warren-unpack-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    auto target = base::OpenAt(AT_FDCWD, directory_, O_RDONLY | O_DIRECTORY);
    auto blob = base::MakePipe();
    auto result = base::MakePipe();
    ASSERT_TRUE(target.ok() && blob.ok() && result.ok());
    watch_ = base::UniqueFd(inotify_init1(IN_CLOEXEC));
    ASSERT_GE(inotify_add_watch(watch_.get(), name, IN_CREATE), 0);
    target_ = *std::move(target);
    blob_ = *std::move(blob);
    result_ = *std::move(result);
  }
  void TearDown() override {
    if (child_.pidfd.valid()) {
      EXPECT_TRUE(base::SendSignal(child_.pidfd.get(), SIGKILL).ok());
      base::Reap(child_.pidfd.get()).status().IgnoreError();
    }
    if (!directory_.empty()) {
      EXPECT_TRUE(base::RemoveTree(AT_FDCWD, directory_).ok());
    }
  }

  void Start(const char* compression = kUnpackPlain,
             const char* bytes = "1048576") {
    base::SpawnOptions options;
    options.path = WARREN_UNPACK_PROGRAM;
    options.args = {"warren-unpack", compression, bytes, "100000"};
    options.fds = {blob_.read.get(), result_.write.get(), -1, target_.get()};
    auto child = base::Spawn(options);
    ASSERT_TRUE(child.ok()) << child.status();
    child_ = *std::move(child);
    blob_.read.reset();
    result_.write.reset();
  }
  // Its first file exists: it is past every wall.
  void WaitUntilInside() {
    ASSERT_TRUE(base::WriteFd(blob_.write.get(),
                              testing::TarBuilder().File("first", "x").bytes())
                    .ok());
    char event[512];
    ASSERT_GT(read(watch_.get(), event, sizeof(event)), 0);
  }
  std::string Proc(const std::string& name) {
    const auto text = base::ReadFileAt(
        AT_FDCWD, absl::StrCat("/proc/", child_.id.pid, "/", name));
    EXPECT_TRUE(text.ok()) << text.status();
    return text.ok() ? *text : "";
  }
  std::string StatusLine(const std::string& key) {
    for (const absl::string_view line : absl::StrSplit(Proc("status"), '\n')) {
      if (absl::StartsWith(line, key + ":\t")) {
        return std::string(line.substr(key.size() + 2));
      }
    }
    return "missing";
  }
  static std::string LinkOf(const std::string& path) {
    char target[256] = {};
    if (readlink(path.c_str(), target, sizeof(target) - 1) < 0) return "?";
    return target;
  }

  std::string directory_;
  base::UniqueFd target_;
  base::UniqueFd watch_;
  base::Pipe blob_;
  base::Pipe result_;
  base::Child child_;
};

TEST_F(UnpackWalls, IMG_1_NothingButTheLayerIsInReach) {
  Start();
  WaitUntilInside();
  const std::string proc = absl::StrCat("/proc/", child_.id.pid);
  for (const char* kind : {"user", "mnt", "net", "ipc", "uts"}) {
    EXPECT_NE(LinkOf(proc + "/ns/" + kind),
              LinkOf(absl::StrCat("/proc/self/ns/", kind)))
        << kind;
  }
  struct stat inside;
  struct stat layer;
  ASSERT_EQ(stat((proc + "/root").c_str(), &inside), 0);
  ASSERT_EQ(stat(directory_.c_str(), &layer), 0);
  EXPECT_EQ(inside.st_ino, layer.st_ino);
  EXPECT_EQ(inside.st_dev, layer.st_dev);
  const std::string mounts = Proc("mountinfo");
  EXPECT_EQ(std::count(mounts.begin(), mounts.end(), '\n'), 1) << mounts;
  for (const char* flag : {"nosuid", "nodev", "noexec", "nosymfollow"}) {
    EXPECT_NE(mounts.find(flag), std::string::npos) << flag;
  }
  const auto fds = base::ListDir(AT_FDCWD, proc + "/fd");
  ASSERT_TRUE(fds.ok());
  for (const std::string& fd : *fds) {
    int number = 0;
    ASSERT_TRUE(absl::SimpleAtoi(fd, &number));
    if (number <= 2) continue;
    // The root and what is being written.
    EXPECT_TRUE(absl::StartsWith(LinkOf(proc + "/fd/" + fd), "/")) << fd;
    struct stat st;
    ASSERT_EQ(stat((proc + "/fd/" + fd).c_str(), &st), 0);
    EXPECT_EQ(st.st_dev, layer.st_dev);
  }
  EXPECT_LE(fds->size(), 6u);
}

TEST_F(UnpackWalls, IMG_1_NoRights) {
  Start();
  WaitUntilInside();
  EXPECT_EQ(StatusLine("NoNewPrivs"), "1");
  EXPECT_EQ(StatusLine("Seccomp"), "2");
  EXPECT_EQ(StatusLine("CapBnd"), "0000000000000000");
  EXPECT_EQ(StatusLine("CapInh"), "0000000000000000");
  EXPECT_EQ(StatusLine("CapAmb"), "0000000000000000");
  // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, SETFCAP 31.
  EXPECT_EQ(StatusLine("CapEff"), "000000008000001b");
  EXPECT_EQ(StatusLine("CapPrm"), "000000008000001b");
  EXPECT_EQ(StatusLine("Threads"), "1");
  const std::string limits = Proc("limits");
  EXPECT_NE(limits.find("Max core file size        0"), std::string::npos);
  EXPECT_NE(limits.find("Max data size             67108864"),
            std::string::npos);
  EXPECT_NE(limits.find("Max open files            16"), std::string::npos);
}

TEST_F(UnpackWalls, IMG_1_ResidentMemoryIsBounded) {
  // The largest window that is taken, filled, and the largest headers.
  testing::TarBuilder tar;
  std::string noise(48 << 20, '\0');
  uint32_t random = 1;
  for (char& c : noise) {
    random = random * 1664525u + 1013904223u;
    c = static_cast<char>(random >> 28);
  }
  for (int i = 0; i < 20; ++i) {
    testing::Member member;
    member.name = absl::StrCat("f", i);
    for (int x = 0; x < 15; ++x) {
      member.pax.emplace_back(absl::StrCat("SCHILY.xattr.odd.", x),
                              noise.substr(0, 60000));
    }
    tar.Add(member);
  }
  tar.File("noise", noise);
  const std::string blob =
      testing::CompressZstd(tar.Build(), kMaxZstdWindowLog);
  Start(kUnpackZstd, "1073741824");
  // All but the last bytes: the pipe holds 64 KiB, the rest was read.
  ASSERT_TRUE(base::WriteFd(blob_.write.get(),
                            absl::string_view(blob).substr(0, blob.size() - 10))
                  .ok());
  const std::string line = StatusLine("VmHWM");
  absl::string_view peak = absl::StripAsciiWhitespace(line);
  uint64_t kib = 0;
  ASSERT_TRUE(absl::ConsumeSuffix(&peak, " kB") && absl::SimpleAtoi(peak, &kib))
      << peak;
  EXPECT_GT(kib, 32u << 10);
  EXPECT_LE(kib, 64u << 10);
}

TEST_F(UnpackWalls, IMG_1_DiesWithItsParent) {
  // A parent is a thread here (prctl(2), PR_SET_PDEATHSIG).
  std::thread parent([this] {
    Start();
    WaitUntilInside();
  });
  parent.join();
  const auto exited =
      base::WaitExit(child_.pidfd.get(), test::Patience(absl::Seconds(20)));
  ASSERT_TRUE(exited.ok());
  EXPECT_TRUE(*exited);
  const auto status = base::Reap(child_.pidfd.get());
  ASSERT_TRUE(status.ok());
  EXPECT_TRUE(WIFSIGNALED(*status));
  EXPECT_EQ(WTERMSIG(*status), SIGKILL);
  child_ = base::Child();
}

TEST_F(UnpackWalls, RefusesWithoutAReader) {
  result_.read.reset();
  Start();
  const auto status = base::Reap(child_.pidfd.get());
  ASSERT_TRUE(status.ok());
  EXPECT_NE(*status, 0);
  EXPECT_TRUE(base::ListDir(AT_FDCWD, directory_)->empty());
  child_ = base::Child();
}

TEST_F(UnpackWalls, ReportsOnce) {
  Start();
  WaitUntilInside();
  ASSERT_TRUE(base::WriteFd(blob_.write.get(), std::string(1024, '\0')).ok());
  blob_.write.reset();
  const auto bytes = base::ReadFd(result_.read.get(), 4096);
  ASSERT_TRUE(bytes.ok());
  ASSERT_EQ(bytes->size(), sizeof(UnpackResult));
  UnpackResult result;
  memcpy(&result, bytes->data(), sizeof(result));
  EXPECT_EQ(result.magic, kUnpackMagic);
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.inodes, 1u);
  const auto status = base::Reap(child_.pidfd.get());
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(*status, 0);
  child_ = base::Child();
}

}  // namespace
}  // namespace warren::image
