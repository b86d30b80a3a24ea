// What a container gets: limits, cgroups, files of its own ids.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "tests/kernel/shim_cgroup.h"
#include "tests/kernel/shim_host.h"

namespace warren::test {
namespace {

constexpr uint64_t kUsual = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

class ShimResources : public ShimTest {
 protected:
  // The node's view: a container sees its own cgroup as the root anyway.
  static std::string CgroupsOf(const runtime::Launched& launched) {
    return Slurp(AT_FDCWD,
                 "/proc/" + std::to_string(launched.process.pid) + "/cgroup");
  }
};

TEST_F(ShimResources, LimitsAndOomScoreAreSetOrClamped) {
  ContainerLaunch launch = Container("cat /proc/self/oom_score_adj; ulimit -n");
  shim::v1::Process* process = launch.container()->mutable_process();
  process->set_oom_score_adj(321);
  shim::v1::Rlimit* limit = process->add_rlimits();
  limit->set_resource(RLIMIT_NOFILE);
  limit->set_soft(123);
  limit->set_hard(456);
  EXPECT_EQ(Run(std::move(launch)).output, "321\n123\n");

  // More than can be had (fs.nr_open): all there is.
  rlimit own;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &own), 0);
  const rlimit lower = {own.rlim_max / 2, own.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &lower), 0);
  launch = Container("ulimit -n");
  process = launch.container()->mutable_process();
  process->set_oom_score_adj(-998);
  limit = process->add_rlimits();
  limit->set_resource(RLIMIT_NOFILE);
  limit->set_soft(uint64_t{1} << 31);
  limit->set_hard(uint64_t{1} << 31);
  const ContainerEnd end = Run(std::move(launch));
  EXPECT_TRUE(end.status.ok()) << end.status;
  EXPECT_EQ(end.output, std::to_string(own.rlim_max) + "\n");
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &own), 0);
}

TEST_F(ShimResources, EXE_10_IsInItsCgroupFromTheStart) {
  const TestCgroup cgroup("pids");
  if (!cgroup.missing().empty()) GTEST_SKIP() << cgroup.missing();
  const std::string line =
      (cgroup.v2() ? "0::" : ":pids:") + cgroup.path() + "\n";
  for (const uint64_t extra : {uint64_t{0}, uint64_t{CLONE_NEWUSER}}) {
    Pod pod = MakePod(kUsual | extra);
    ContainerLaunch launch = Container("exec sleep 1000", &pod);
    cgroup.Place(launch.container()->mutable_cgroup(), &launch.fds);
    const runtime::Launched launched = Start(&launch);
    EXPECT_NE(CgroupsOf(launched).find(line), std::string::npos)
        << CgroupsOf(launched);
    FdList fds;
    ExecPipes pipes;
    auto request =
        ExecRequest(launched, {"sleep", "1000"}, extra != 0, &fds, &pipes);
    cgroup.Place(request.mutable_exec()->mutable_cgroup(), &fds);
    auto session = launcher().LaunchExec(request, fds.Numbers());
    ASSERT_TRUE(session.ok()) << session.status();
    EXPECT_EQ(CgroupsOf(session->launched()), CgroupsOf(launched));
    KillAndAwait(launched);
    DropPod(&pod);
  }
}

// A list that takes a process and does not show it (here: a file): not in the
// cgroup, so no start.
TEST_F(ShimResources, EXE_10_ACgroupThatDoesNotTakeItEndsTheStart) {
  ContainerLaunch launch = Container("echo it ran");
  launch.container()->mutable_cgroup()->add_v1_procs_fds(
      launch.fds.Add(base::UniqueFd(open((directory() + "/procs").c_str(),
                                         O_RDWR | O_CREAT | O_CLOEXEC, 0600))));
  const ContainerEnd end = Run(std::move(launch));
  ASSERT_FALSE(end.status.ok());
  EXPECT_EQ(runtime::FailedStep(end.status), "cgroup") << end.status;
  EXPECT_EQ(end.output, "");
}

TEST_F(ShimResources, EXE_10_ClonesIntoTheV2Cgroup) {
  // Beside the hierarchies of v1; where all is v2 the test above does it.
  const std::string root = "/sys/fs/cgroup/unified";
  std::string directory = root + "/warren-test-shim-XXXXXX";
  if (mkdtemp(directory.data()) == nullptr) {
    GTEST_SKIP() << "no v2 hierarchy beside v1's";
  }
  for (const uint64_t extra : {uint64_t{0}, uint64_t{CLONE_NEWUSER}}) {
    Pod pod = MakePod(kUsual | extra);
    ContainerLaunch launch = Container("exec sleep 1000", &pod);
    launch.container()->mutable_cgroup()->set_v2_dir_fd(
        launch.fds.Add(base::UniqueFd(
            open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC))));
    const runtime::Launched launched = Start(&launch);
    EXPECT_NE(
        CgroupsOf(launched).find("0::" + directory.substr(root.size()) + "\n"),
        std::string::npos)
        << CgroupsOf(launched);
    KillAndAwait(launched);
    DropPod(&pod);
  }
  EXPECT_TRUE(Eventually([&] { return rmdir(directory.c_str()) == 0; }));
}

TEST_F(ShimResources, OomKillIsReported) {
  const TestCgroup cgroup("memory");
  if (!cgroup.missing().empty()) GTEST_SKIP() << cgroup.missing();
  const bool v2 = cgroup.v2();
  const base::UniqueFd limit =
      cgroup.Open(v2 ? "memory.max" : "memory.limit_in_bytes", O_WRONLY);
  ASSERT_EQ(write(limit.get(), "16M", 3), 3);
  if (v2) {  // counted apart from memory
    const base::UniqueFd swap = cgroup.Open("memory.swap.max", O_WRONLY);
    ASSERT_EQ(write(swap.get(), "0", 1), 1);
  }
  // First one that stays below the limit, then one that does not.
  for (const bool greedy : {false, true}) {
    // One call that fills a large buffer: soon over on an emulated machine,
    // too.
    ContainerLaunch launch = Container(
        greedy ? "exec dd if=/dev/zero of=/dev/null bs=64M count=1" : "true");
    cgroup.Place(launch.container()->mutable_cgroup(), &launch.fds);
    launch.container()->set_oom_fd(launch.fds.Add(
        cgroup.Open(v2 ? "memory.events" : "memory.oom_control", O_RDONLY)));
    launch.container()->set_oom_v2(v2);
    const ContainerEnd end = Run(std::move(launch));
    ASSERT_TRUE(end.status.ok()) << end.status;
    EXPECT_EQ(end.exited.oom_killed(), greedy);
    EXPECT_EQ(end.exited.exit_code(), greedy ? 137 : 0);
  }
}

TEST_F(ShimResources, ShiftOwnersGivesAwayTheRootfs) {
  Pod pod = MakePod(kUsual | CLONE_NEWUSER);
  ContainerLaunch launch = Container(
      "id -u; stat -c %u:%g /bin/busybox /home "
      "/home/x; stat -c %a /home/x",
      &pod);
  // As an image has it: everything is the host root's.
  for (const char* path : {".", "bin", "bin/busybox", "etc", "tmp", "home"}) {
    ASSERT_EQ(fchownat(launch.rootfs.get(), path, 0, 0, 0), 0);
  }
  const base::UniqueFd file(openat(launch.rootfs.get(), "home/x",
                                   O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  ASSERT_TRUE(file.valid());
  ASSERT_EQ(fchownat(launch.rootfs.get(), "home/x", 7, 8, 0), 0);
  ASSERT_EQ(fchmodat(launch.rootfs.get(), "home/x", 06755, 0), 0);
  ASSERT_EQ(
      linkat(launch.rootfs.get(), "home/x", launch.rootfs.get(), "home/y", 0),
      0);
  for (auto* m : {launch.container()->add_shift_uids(),
                  launch.container()->add_shift_gids()}) {
    m->set_host_id(kHostIds);
    m->set_length(kIdCount);
  }
  EXPECT_EQ(Run(std::move(launch)).output, "0\n0:0\n0:0\n7:8\n6755\n");
  DropPod(&pod);
}

}  // namespace
}  // namespace warren::test
