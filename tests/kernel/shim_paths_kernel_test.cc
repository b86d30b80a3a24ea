// The FS rows of the security requirements that the shim holds: where mounts,
// masks and the console of a container end up.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <sstream>
#include <thread>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "tests/kernel/shim_host.h"
#include "tests/kernel/shim_mounts.h"

namespace warren::test {
namespace {

using shim::v1::MountOp;

constexpr uint64_t kUsual = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

class ShimPaths : public ShimTest {
 protected:
  static MountOp* Add(ContainerLaunch* launch, MountOp::Kind kind,
                      const std::string& target) {
    MountOp* op = launch->container()->add_mounts();
    op->set_kind(kind);
    op->set_target(target);
    return op;
  }
  // A canary file outside of every container.
  std::string Canary() {
    const std::string path = directory() + "/canary";
    PutFile(AT_FDCWD, path, "host");
    return path;
  }
};

TEST_F(ShimPaths, FS_1_MountTargetsStayInside) {
  const std::string canary = Canary();
  const struct {
    const char* link;    // where an image put a symlink
    const char* points;  // to
    const char* target;  // of the mount
    const char* inside;  // where it must show up
  } kCases[] = {
      {"a", "/etc", "/a/x", "/etc/x"},
      {"b", "../../../../etc", "/b/y", "/etc/y"},
      {"c", "/no/such/place", "/c/z", "/no/such/place/z"},
      {"d", "../../dangling", "/d", "/dangling"},
      {"e", "nowhere/../up", "/e/v", "/up/v"},
  };
  for (const auto& c : kCases) {
    ContainerLaunch launch =
        Container(std::string("cat ") + c.inside + "/mark");
    ASSERT_EQ(symlinkat(c.points, launch.rootfs.get(), c.link), 0);
    base::UniqueFd volume = MakeTmpfs(0);
    PutFile(volume.get(), "mark", "volume\n");
    MountOp* op = Add(&launch, MountOp::ATTACH, c.target);
    op->set_fd(launch.fds.Add(std::move(volume)));
    const ContainerEnd end = Run(std::move(launch));
    EXPECT_TRUE(end.status.ok()) << c.link << end.status;
    EXPECT_EQ(end.output, "volume\n") << c.link;
  }
  EXPECT_EQ(Slurp(AT_FDCWD, canary), "host");
}

TEST_F(ShimPaths, FS_2_OurFileSystemsNeverFollowTheImage) {
  const std::string canary = directory() + "/canary-dir";
  ASSERT_EQ(mkdir(canary.c_str(), 0755), 0);
  for (const char* name : {"proc", "dev"}) {
    for (const std::string& points :
         {canary, std::string("/etc"), std::string("tmp")}) {
      ContainerLaunch launch = Container("true");
      ASSERT_EQ(symlinkat(points.c_str(), launch.rootfs.get(), name), 0);
      const ContainerEnd end = Run(std::move(launch));
      EXPECT_EQ(runtime::FailedStep(end.status), "mount") << end.status;
      EXPECT_EQ(base::GetErrno(end.status), ELOOP);
    }
    ContainerLaunch launch = Container("true");
    PutFile(launch.rootfs.get(), name, "a file");
    EXPECT_EQ(base::GetErrno(Run(std::move(launch)).status), ENOTDIR);
  }
  EXPECT_TRUE(base::ListDir(AT_FDCWD, canary)->empty());
}

TEST_F(ShimPaths, FS_3_OomScoreGoesPastTheContainersProc) {
  ContainerLaunch launch = Container("exec sleep 1000");
  launch.container()->mutable_process()->set_oom_score_adj(77);
  // What the container has at /proc swallows every write.
  base::UniqueFd fake = MakeTmpfs(0);
  PutFile(fake.get(), "self/oom_score_adj", "0\n");
  const base::UniqueFd keep = *base::DupFd(fake.get());
  MountOp* op = Add(&launch, MountOp::ATTACH, "/proc");
  op->set_fd(launch.fds.Add(std::move(fake)));
  op->set_may_cover_proc(true);
  const runtime::Launched launched = Start(&launch);
  EXPECT_EQ(Slurp(AT_FDCWD, "/proc/" + std::to_string(launched.process.pid) +
                                "/oom_score_adj"),
            "77\n");
  EXPECT_EQ(Slurp(keep.get(), "self/oom_score_adj"), "0\n");
  KillAndAwait(launched);
}

TEST_F(ShimPaths, FS_4_MaskedAndReadonlyPaths) {
  for (const uint64_t extra : {uint64_t{0}, uint64_t{CLONE_NEWUSER}}) {
    Pod pod = MakePod(kUsual | extra);
    ContainerLaunch launch = Container(
        "cat /etc/secret /proc/version /proc/keys | wc -c; ls /home /proc/tty; "
        "touch /home/x 2>&1; echo 1 2>&1 >/proc/sys/kernel/domainname; "
        "touch /tmp/x && echo writable; "
        "/bin/ls2 2>&1; stat -c %t:%T /proc/version",
        &pod);
    PutFile(launch.rootfs.get(), "etc/secret", "secret");
    PutFile(launch.rootfs.get(), "home/hidden", "hidden");
    ASSERT_EQ(linkat(launch.rootfs.get(), "bin/busybox", launch.rootfs.get(),
                     "bin/ls2", 0),
              0);
    if (extra != 0) {
      ASSERT_EQ(fchownat(launch.rootfs.get(), "tmp", kHostIds, kHostIds, 0), 0);
    }
    for (const char* path :
         {"/etc/secret", "/proc/version", "/proc/keys", "/home", "/proc/tty",
          "/no/such", "/etc/secret/below", "/bin/ls2"}) {
      Add(&launch, MountOp::MASK, path);
    }
    for (const char* path : {"/proc/sys", "/proc/no-such"}) {
      Add(&launch, MountOp::READONLY, path);
    }
    const ContainerEnd end = Run(std::move(launch));
    ASSERT_TRUE(end.status.ok()) << end.status;
    std::istringstream lines(end.output);
    std::string line;
    std::getline(lines, line);
    EXPECT_EQ(line, "0");
    std::vector<std::string> rest;
    while (std::getline(lines, line)) rest.push_back(line);
    const std::string all = end.output;
    EXPECT_EQ(all.find("hidden"), std::string::npos) << all;
    EXPECT_NE(all.find("touch: /home/x: Read-only file system"),
              std::string::npos)
        << all;
    EXPECT_NE(all.find("/proc/sys/kernel/domainname: Read-only"),
              std::string::npos)
        << all;
    EXPECT_NE(all.find("writable\n"), std::string::npos) << all;
    EXPECT_NE(all.find("ls2: Permission denied"), std::string::npos) << all;
    EXPECT_EQ(rest.back(), "1:3") << all;
    DropPod(&pod);
  }
}

TEST_F(ShimPaths, FS_4_OnlyTheRealNullIsTaken) {
  ContainerLaunch launch = Container("true");
  launch.container()->set_null_fd(
      launch.fds.Add(base::UniqueFd(open("/dev/zero", O_PATH | O_CLOEXEC))));
  EXPECT_EQ(runtime::FailedStep(Run(std::move(launch)).status), "null");
}

TEST_F(ShimPaths, FS_5_ConsoleOfTheImageIsNotFollowed) {
  const std::string canary = Canary();
  ContainerLaunch launch = Container("echo x >/dev/console");
  launch.container()->set_tty(true);
  ASSERT_EQ(mkdirat(launch.rootfs.get(), "dev", 0755), 0);
  ASSERT_EQ(symlinkat(canary.c_str(), launch.rootfs.get(), "dev/console"), 0);
  MountOp* link = Add(&launch, MountOp::SYMLINK, "/dev/console");
  link->set_source(canary);
  const ContainerEnd end = Run(std::move(launch));
  EXPECT_EQ(runtime::FailedStep(end.status), "stdio");
  EXPECT_EQ(Slurp(AT_FDCWD, canary), "host");
}

// A volume that brings a procfs along, and one that holds a link to the
// container's own: nothing is put over what either shows. It may lie over the
// whole of the former, and where the request says so.
TEST_F(ShimPaths, FS_6_NothingIsPutIntoAProcfs) {
  const struct {
    const char* target;
    bool may_cover_proc;
    int error;
  } kCases[] = {{"/v/proc/sys/kernel", false, EPERM},
                {"/v/proc/self", false, EPERM},
                {"/v/link/sys", false, EPERM},
                {"/v/link", false, EPERM},
                {"/v/up", false, EPERM},
                {"/v/proc/sys/kernel", true, 0},
                {"/v/proc", false, 0},
                {"/v/plain", false, 0}};
  for (const auto& c : kCases) {
    ContainerLaunch launch =
        Container(std::string("cat ") + c.target + "/mark");
    base::UniqueFd volume = MakeTmpfs(0);
    for (const char* name : {"proc", "plain"}) {
      ASSERT_EQ(mkdirat(volume.get(), name, 0755), 0);
    }
    ASSERT_EQ(symlinkat("/proc", volume.get(), "link"), 0);
    ASSERT_EQ(symlinkat("proc/sys", volume.get(), "up"), 0);
    Add(&launch, MountOp::ATTACH, "/v")
        ->set_fd(launch.fds.Add(std::move(volume)));
    MountOp* proc = Add(&launch, MountOp::ATTACH, "/v/proc");
    proc->set_fd(launch.fds.Add(base::UniqueFd(
        open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC))));
    base::UniqueFd cover = MakeTmpfs(0);
    PutFile(cover.get(), "mark", "covered\n");
    MountOp* op = Add(&launch, MountOp::ATTACH, c.target);
    op->set_fd(launch.fds.Add(std::move(cover)));
    op->set_may_cover_proc(c.may_cover_proc);
    const ContainerEnd end = Run(std::move(launch));
    EXPECT_EQ(base::GetErrno(end.status), c.error) << c.target << end.status;
    if (c.error != 0) continue;
    EXPECT_EQ(end.output, "covered\n") << c.target;
  }
}

TEST_F(ShimPaths, FS_7_OldRootIsGone) {
  for (const uint64_t extra : {uint64_t{0}, uint64_t{CLONE_NEWUSER}}) {
    Pod pod = MakePod(kUsual | extra);
    ContainerLaunch launch =
        Container("cut -d' ' -f5 /proc/self/mountinfo | sort", &pod);
    const ContainerEnd end = Run(std::move(launch));
    EXPECT_EQ(end.output, extra == 0
                              ? "/\n/dev\n/dev/pts\n/proc\n"
                              : "/\n/dev\n/dev/null\n/dev/pts\n/dev/zero\n"
                                "/proc\n");
    DropPod(&pod);
  }
}

TEST_F(ShimPaths, ReadonlyRootfsLeavesMountsAlone) {
  ContainerLaunch launch =
      Container("touch /x 2>&1; touch /vol/x && touch /dev/x && echo ok");
  launch.container()->set_readonly_rootfs(true);
  MountOp* op = Add(&launch, MountOp::ATTACH, "/vol");
  op->set_fd(launch.fds.Add(MakeTmpfs(0)));
  EXPECT_EQ(Run(std::move(launch)).output,
            "touch: /x: Read-only file system\nok\n");
}

// A mount target that is swapped for a link to the outside while containers
// start: nothing ever gets out (the fd-based way, FS-1).
TEST_F(ShimPaths, FS_1_RaceAgainstSwappedTarget) {
  const std::string outside = directory() + "/outside";
  ASSERT_EQ(mkdir(outside.c_str(), 0755), 0);
  base::UniqueFd shared = MakeTmpfs(0);
  ASSERT_EQ(mkdirat(shared.get(), "d", 0755), 0);
  ASSERT_EQ(symlinkat((std::string("../../../../../..") + outside).c_str(),
                      shared.get(), "l"),
            0);
  std::atomic<bool> stop{false};
  std::thread attacker([&] {
    while (!stop) {
      syscall(SYS_renameat2, shared.get(), "d", shared.get(), "l", 2);
    }
  });
  const std::string before = Slurp(AT_FDCWD, "/proc/self/mountinfo");
  for (int i = 0; i < 100; ++i) {
    ContainerLaunch launch = Container("true");
    // The directory under attack is a volume of another container too.
    MountOp* volume = Add(&launch, MountOp::ATTACH, "/shared");
    volume->set_fd(launch.fds.Add(base::UniqueFd(
        open_tree(shared.get(), "",
                  AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC))));
    MountOp* op = Add(&launch, MountOp::ATTACH, "/shared/d/made");
    op->set_fd(launch.fds.Add(MakeTmpfs(0)));
    Run(std::move(launch)).status.IgnoreError();
  }
  stop = true;
  attacker.join();
  EXPECT_TRUE(base::ListDir(AT_FDCWD, outside)->empty());
  EXPECT_EQ(Slurp(AT_FDCWD, "/proc/self/mountinfo"), before);
}

}  // namespace
}  // namespace warren::test
