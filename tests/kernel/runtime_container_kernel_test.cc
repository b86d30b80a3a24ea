#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/rootfs/rootfs.h"
#include "tests/kernel/runtime_host.h"

namespace warren::runtime {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// What a container sees of its file system tree, users and limits.
class RuntimeContainer : public RuntimeTest {
 protected:
  std::string Touch(const std::string& name, const std::string& text) {
    const std::string path = dir() + "/" + name;
    auto fd = base::OpenAt(AT_FDCWD, path, O_WRONLY | O_CREAT, 0644);
    EXPECT_TRUE(fd.ok()) << fd.status();
    EXPECT_TRUE(base::WriteFd(fd->get(), text).ok());
    return path;
  }
  std::string Text(const std::string& path) {
    auto text = base::ReadFileAt(AT_FDCWD, path);
    return text.ok() ? *text : text.status().ToString();
  }
};

TEST_F(RuntimeContainer, BaseTreeIsThere) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const std::string out =
      Run(Shell(pod,
                "cat /etc/hostname /etc/hosts /etc/resolv.conf;"
                "echo x > /dev/null && head -c 4 /dev/zero | wc -c;"
                "ls /dev | tr '\\n' ' ' 2>/dev/null || ls /dev;"
                "readlink /dev/fd; ls -ld /dev/shm; cat /proc/self/mountinfo"));
  EXPECT_THAT(out, HasSubstr(pod.hostname + "\n" + pod.hosts + pod.resolv_conf +
                             "4\n"));
  for (const char* name :
       {"full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
        "stdout", "tty", "urandom", "zero", "mqueue"}) {
    EXPECT_THAT(out, HasSubstr(name));
  }
  EXPECT_THAT(out, Not(HasSubstr("core")));
  EXPECT_THAT(out, HasSubstr("/proc/self/fd\n"));
  EXPECT_THAT(out, HasSubstr("drwxrwxrwt"));
  EXPECT_THAT(out, ContainsRegex(" / /sys ro,"));
  EXPECT_THAT(out, ContainsRegex(" / /proc rw,nosuid,nodev,noexec"));
  // FS-7: nothing of the host's tree; of its paths, only those of the pod's
  // files show as the roots of their mounts.
  EXPECT_THAT(out, Not(HasSubstr("/upper")));
  EXPECT_THAT(out, Not(HasSubstr(layer())));
}

TEST_F(RuntimeContainer, FS_7_CgroupsAreReadOnlyAndRootIsHidden) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const std::string out =
      Run(Shell(pod,
                "cat /proc/self/cgroup; grep -v 'ro,' /proc/self/mountinfo | "
                "grep /sys/fs/cgroup; for f in /sys/fs/cgroup/cgroup.procs "
                "/sys/fs/cgroup/*/cgroup.procs; do "
                "echo 1 2>/dev/null > $f && echo WROTE $f; done; "
                "cat /sys/fs/cgroup/memory/cgroup.procs | wc -l; true"));
  EXPECT_THAT(out, Not(HasSubstr("warren")));
  EXPECT_THAT(out, Not(HasSubstr("/sys/fs/cgroup")));
  EXPECT_THAT(out, Not(HasSubstr("WROTE")));
}

// Read from inside, where the container's cgroup is the root.
TEST_F(RuntimeContainer, LimitsAreInItsCgroup) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const bool v2 = runtime().GetFeatures().cgroup_v2;
  ContainerSpec spec = Shell(
      pod, v2 ? "cd /sys/fs/cgroup; cat memory.max memory.swap.max cpu.weight "
                "cpu.max pids.max cpuset.cpus; cat /proc/self/oom_score_adj"
              : "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes "
                "memory/memory.memsw.limit_in_bytes cpu/cpu.shares "
                "cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us pids/pids.max "
                "cpuset/cpuset.cpus; cat /proc/self/oom_score_adj");
  spec.resources.memory_limit_bytes = 64 << 20;
  spec.resources.cpu_shares = 512;
  spec.resources.cpu_quota_us = 50000;
  spec.resources.cpu_period_us = 100000;
  spec.resources.pids_limit = 30;
  spec.resources.cpuset_cpus = "0";
  spec.oom_score_adj = 500;
  EXPECT_EQ(Run(spec),
            v2 ? "67108864\n0\n59\n50000 100000\n30\n0\n500\n"
               : "67108864\n67108864\n512\n50000\n100000\n30\n0\n500\n");
}

TEST_F(RuntimeContainer, DevicesBeyondTheStandardOnesAreShut) {
  const SandboxSpec pod = Pod();
  Create(pod);
  ContainerSpec spec = Shell(
      pod,
      "mknod /tmp/disk b 7 0 && dd if=/tmp/disk of=/dev/null count=1 2>&1;"
      "mknod /tmp/mem c 1 1 && head -c1 /tmp/mem 2>&1; "
      "head -c1 /dev/zero | wc -c; echo x > /dev/full || echo full");
  const std::string out = Run(spec);
  EXPECT_THAT(out, ContainsRegex("disk.*(not permitted|denied)"));
  EXPECT_THAT(out, ContainsRegex("mem.*(not permitted|denied)"));
  EXPECT_THAT(out, HasSubstr("1\nfull\n"));
}

TEST_F(RuntimeContainer, UsersComeFromTheRoot) {
  const SandboxSpec pod = Pod();
  Create(pod);
  ContainerSpec spec = Shell(pod, "id -u; id -G; echo $HOME");
  spec.user.image_user = "app";
  spec.user.supplemental_groups = {77};
  const ContainerFacts facts = Create(spec);
  EXPECT_EQ(facts.user.uid, 1000u);
  EXPECT_EQ(facts.user.home, "/tmp");
  Start(spec);
  WaitExit(spec);
  EXPECT_EQ(LogPayload(log_text(spec), "stdout"), "1000\n1001 10 77\n/tmp\n");
  ContainerSpec unknown = Shell(pod, "true");
  unknown.user.image_user = "nobody";
  EXPECT_EQ(TryCreate(unknown).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(RuntimeContainer, UserNamespaceShowsItsOwnRoot) {
  const SandboxSpec pod = UserNamespacePod();
  Create(pod);
  const ContainerSpec spec = Shell(
      pod,
      "id -u; stat -c %u /bin/busybox /etc/hosts /dev/shm /; cat "
      "/proc/self/uid_map; touch /made && chown 5:6 /made && stat -c %u:%g "
      "/made; echo x > /dev/null; ls /sys/class/net; echo ready; sleep 600");
  Create(spec);
  const StartFacts facts = Start(spec);
  WaitLog(spec, "ready");
  const std::string out = LogPayload(log_text(spec), "stdout");
  EXPECT_THAT(out, ::testing::StartsWith("0\n0\n0\n0\n0\n"));
  EXPECT_THAT(out, ContainsRegex("0 +1048576 +65536\n5:6\n"));
  EXPECT_THAT(out, HasSubstr("lo\nready\n"));
  EXPECT_EQ(LogPayload(log_text(spec), "stderr"), "");
  auto view = runtime().InspectContainer(spec.id);
  ASSERT_TRUE(view.ok()) << view.status();
  ASSERT_FALSE(view->processes.empty());
  EXPECT_EQ(view->processes[0].uid, uint32_t{1} << 20);
  EXPECT_EQ(view->processes[0].host_pid, facts.process.pid);
  EXPECT_EQ(view->processes[0].inner_pid, 1);
  struct stat st;
  ASSERT_EQ(stat((dir() + "/state/containers/" + spec.id + "/rootfs/upper/made")
                     .c_str(),
                 &st),
            0);
  EXPECT_EQ(st.st_uid, (uint32_t{1} << 20) + 5);
  // The shared layer keeps its owner.
  ASSERT_EQ(stat((layer() + "/bin/busybox").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 0u);
}

// What the base mounts need comes from the shared lowest layer: a container
// that writes nothing keeps nothing. The image's word counts, though.
TEST_F(RuntimeContainer, MountPointsAreNobodysOwnFiles) {
  const std::string upper = "/rootfs/upper";
  const auto own = [&](const ContainerSpec& spec) {
    return *base::ListDir(AT_FDCWD,
                          dir() + "/state/containers/" + spec.id + upper);
  };
  for (const bool user_namespace : {false, true}) {
    const SandboxSpec pod = user_namespace ? UserNamespacePod() : Pod();
    Create(pod);
    const ContainerSpec plain = Shell(pod, "stat -c %a:%u /proc/.. /etc");
    EXPECT_EQ(Run(plain), "755:0\n755:0\n");
    EXPECT_THAT(own(plain), IsEmpty());
  }
  const SandboxSpec pod = Pod();
  Create(pod);
  ASSERT_EQ(chmod((layer() + "/etc").c_str(), 0751), 0);
  ASSERT_EQ(mknod((layer() + "/sys").c_str(), S_IFCHR, makedev(0, 0)), 0);
  const ContainerSpec special = Shell(pod, "stat -c %a /etc; ls /sys | wc -l");
  EXPECT_THAT(Run(special), ::testing::StartsWith("751\n"));
  EXPECT_THAT(own(special), ElementsAre("sys"));
}

TEST_F(RuntimeContainer, MountsOfTheRequest) {
  const SandboxSpec pod = Pod();
  Create(pod);
  ASSERT_EQ(mkdir((dir() + "/volume").c_str(), 0777), 0);
  Touch("volume/file", "from the host\n");
  const std::string single = Touch("single", "one file\n");
  ContainerSpec spec =
      Shell(pod,
            "cat /data/file /data/deep/one; echo y > /data/new && echo wrote;"
            "echo y > /ro/new || echo refused; ls -d /made/it; cat /etc/hosts");
  spec.mounts = {
      {"/data/deep/one", single, true, MountPropagation::kPrivate},
      {"/data", dir() + "/volume", false, MountPropagation::kPrivate},
      {"/ro", dir() + "/volume", true, MountPropagation::kPrivate},
      {"/made/it", dir() + "/missing/dir", false, MountPropagation::kPrivate},
      {"/etc/hosts", single, false, MountPropagation::kPrivate}};
  EXPECT_EQ(Run(spec),
            "from the host\none file\nwrote\nrefused\n/made/it\none file\n");
  EXPECT_EQ(Text(dir() + "/volume/new"), "y\n");
  struct stat st;
  ASSERT_EQ(stat((dir() + "/missing/dir").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0755u);
}

TEST_F(RuntimeContainer, FS_6_TargetsStayInsideTheRoot) {
  const SandboxSpec pod = Pod();
  Create(pod);
  ASSERT_EQ(mkdir((dir() + "/volume").c_str(), 0755), 0);
  Touch("volume/mark", "mark\n");
  const std::string canary = dir() + "/canary";
  const std::string climbed = dir() + "/climbed";
  for (const std::string& outside : {canary, climbed}) {
    ASSERT_EQ(mkdir(outside.c_str(), 0755), 0);
  }
  // Links that the image brings, to places that only exist outside.
  ASSERT_EQ(symlink(canary.c_str(), (layer() + "/absolute").c_str()), 0);
  ASSERT_EQ(symlink(("../../../../../../.." + climbed).c_str(),
                    (layer() + "/dots").c_str()),
            0);
  ContainerSpec spec =
      Shell(pod, "cat /absolute/sub/mark /dots/x/mark && ls " + canary);
  spec.mounts = {
      {"/absolute/sub", dir() + "/volume", false, MountPropagation::kPrivate},
      {"/dots/x", dir() + "/volume", false, MountPropagation::kPrivate}};
  EXPECT_EQ(Run(spec), "mark\nmark\nsub\n");
  EXPECT_EQ(access((canary + "/sub").c_str(), F_OK), -1);
  EXPECT_EQ(access((climbed + "/x").c_str(), F_OK), -1);
  for (const char* bad : {"/", "//", "/.", "/proc", "/proc/sys/kernel",
                          "/etc/../proc/1", "relative", ""}) {
    ContainerSpec refused = Shell(pod, "true");
    refused.mounts = {
        {bad, dir() + "/volume", false, MountPropagation::kPrivate}};
    EXPECT_EQ(TryCreate(refused).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

TEST_F(RuntimeContainer, PropagationIsHonouredOrRefused) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const std::string volume = dir() + "/volume";
  ASSERT_EQ(mkdir(volume.c_str(), 0755), 0);
  ContainerSpec refused = Shell(pod, "true");
  refused.mounts = {{"/v", volume, false, MountPropagation::kHostToContainer}};
  const absl::Status status = TryCreate(refused).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("shared"));

  ASSERT_EQ(mount(volume.c_str(), volume.c_str(), nullptr, MS_BIND, nullptr),
            0);
  ASSERT_EQ(mount(nullptr, volume.c_str(), nullptr, MS_SHARED, nullptr), 0);
  ASSERT_EQ(mkdir((volume + "/late").c_str(), 0755), 0);
  ContainerSpec spec = Shell(pod, "echo up; sleep 600");
  spec.mounts = {{"/v", volume, false, MountPropagation::kHostToContainer},
                 {"/p", volume, false, MountPropagation::kPrivate}};
  Create(spec);
  Start(spec);
  WaitLog(spec, "up");
  ASSERT_EQ(mount("tmpfs", (volume + "/late").c_str(), "tmpfs", 0, nullptr), 0);
  Touch("volume/late/seen", "");
  EXPECT_EQ(Exec(spec, "ls /v/late; ls /p/late"), "seen\n");
  EXPECT_EQ(umount((volume + "/late").c_str()), 0);
  Remove(spec);
  EXPECT_EQ(umount(volume.c_str()), 0);
}

TEST_F(RuntimeContainer, MaskedReadonlyAndSealedRoot) {
  const SandboxSpec pod = Pod();
  Create(pod);
  ContainerSpec spec =
      Shell(pod,
            "head -c1 /proc/keys | wc -c; ls /sys/firmware | wc -l;"
            "echo 1 > /proc/sys/kernel/panic || echo sealed;"
            "touch /x || echo ro; touch /tmp/x || echo ro; touch /dev/shm/x && "
            "echo shm; echo x >> /etc/hosts || echo ro");
  spec.masked_paths = {"/proc/keys", "/sys/firmware", "/proc/nosuch"};
  spec.readonly_paths = {"/proc/sys", "/proc/nosuch"};
  spec.readonly_rootfs = true;
  EXPECT_EQ(Run(spec), "0\n0\nsealed\nro\nro\nshm\nro\n");
}

TEST_F(RuntimeContainer, WorkingDirIsMadeAndEnvIsComplete) {
  const SandboxSpec pod = Pod();
  Create(pod);
  ContainerSpec spec = Shell(pod, "pwd; env; echo err >&2; exit 7");
  spec.cwd = "/work/here";
  spec.env.push_back("HOME=/elsewhere");
  const std::string out = Run(spec, 7);
  EXPECT_THAT(out, HasSubstr("/work/here\n"));
  EXPECT_THAT(out, HasSubstr("HOME=/elsewhere\n"));
  EXPECT_EQ(LogPayload(log_text(spec), "stderr"), "err\n");
}

// The way before Linux 6.7, which Debian 12 has.
TEST_F(RuntimeContainer, RootfsOfAnOldKernel) {
  RootfsOptions options;
  options.dir = dir() + "/rootfs";
  options.old_kernel = true;
  for (int i = 0; i < 40; ++i) {
    options.layer_dirs.push_back(dir() + "/layer-" + std::to_string(i));
    ASSERT_EQ(mkdir(options.layer_dirs[i].c_str(), 0755), 0);
    Touch("layer-" + std::to_string(i) + "/top", std::to_string(i));
  }
  const Ledger before = Ledger::Read(dir());
  {
    auto rootfs = MakeRootfs(options);
    ASSERT_TRUE(rootfs.ok()) << rootfs.status();
    EXPECT_FALSE(rootfs->shift_owners);
    auto top = base::ReadFileAt(rootfs->mount.get(), "top");
    ASSERT_TRUE(top.ok()) << top.status();
    EXPECT_EQ(*top, "39");
    auto made = base::OpenAt(rootfs->mount.get(), "new", O_WRONLY | O_CREAT);
    EXPECT_TRUE(made.ok()) << made.status();
    EXPECT_EQ(access((options.dir + "/upper/new").c_str(), F_OK), 0);
  }
  EXPECT_EQ(before.mounts, Ledger::Read(dir()).mounts);
  EXPECT_TRUE(RemoveRootfs(options.dir).ok());
}

TEST_F(RuntimeContainer, StartFailureNamesTheStep) {
  const SandboxSpec pod = Pod();
  Create(pod);
  ContainerSpec spec = Shell(pod, "");
  spec.args = {"/bin/nope"};
  Create(spec);
  auto started = runtime().StartContainer(spec.id, base::Deadline::Never());
  ASSERT_FALSE(started.ok());
  EXPECT_THAT(started.status().message(), HasSubstr("exec \"/bin/nope\""));
  EXPECT_FALSE(HasExited(spec.id));
}

}  // namespace
}  // namespace warren::runtime
