#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "tests/kernel/runtime_host.h"

namespace warren::runtime {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr char kV2Tree[] = "/sys/fs/cgroup/unified";
constexpr char kCgroups[] = "/sys/fs/cgroup";

// A device that no container has by itself and that opens without hardware.
constexpr uint32_t kLoopMajor = 7;
constexpr uint32_t kLoopMinor = 7;

// What can be done with a node, as "r" and "w".
std::string TryNode(const std::string& path) {
  return absl::StrCat("(: < ", path, ") 2>/dev/null && echo r; (: >> ", path,
                      ") 2>/dev/null && echo w; true; ");
}

// The same on the machine's own cgroups, whichever version, and on a cgroup v2
// machine, for which the unified tree of a hybrid one is bound over the rest
// (this program has a mount namespace of its own). The device filter needs no
// controller.
class RuntimeDevice : public RuntimeTest,
                      public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    if (GetParam()) {
      if (access(absl::StrCat(kV2Tree, "/cgroup.procs").c_str(), F_OK) != 0) {
        GTEST_SKIP() << "no unified tree beside those of v1: the machine's own "
                        "cgroups are all there is";
      }
      ASSERT_EQ(mount(kV2Tree, kCgroups, nullptr, MS_BIND, nullptr), 0);
      bound_ = true;
    }
    RuntimeTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    if (GetParam()) {
      ASSERT_TRUE(runtime().GetFeatures().cgroup_v2);
    }
    ASSERT_EQ(mkdir(nodes().c_str(), 0755), 0);
    if (!MakeNode("loop", 0666)) {
      GTEST_SKIP() << "this machine has no loop devices";
    }
  }
  void TearDown() override {
    RuntimeTest::TearDown();
    if (bound_) {
      EXPECT_EQ(umount2(kCgroups, MNT_DETACH), 0);
    }
  }

  std::string nodes() const { return dir() + "/nodes"; }
  bool MakeNode(const std::string& name, mode_t mode) {
    const std::string path = nodes() + "/" + name;
    EXPECT_EQ(mknod(path.c_str(), S_IFBLK, makedev(kLoopMajor, kLoopMinor)), 0);
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return base::OpenAt(AT_FDCWD, path, O_RDONLY).ok();
  }
  DeviceRequest Ask(const std::string& target,
                    uint8_t access = kDeviceAll) const {
    DeviceRequest request;
    request.field = "config.devices[0]";
    request.host_path = nodes() + "/loop";
    request.container_path = target;
    request.access = access;
    return request;
  }
  ContainerSpec Try(const SandboxSpec& pod, const std::string& path,
                    uint8_t access) {
    ContainerSpec spec = Shell(pod, TryNode(path));
    spec.devices = {Ask(path, access)};
    return spec;
  }

 private:
  bool bound_ = false;
};

INSTANTIATE_TEST_SUITE_P(Cgroups, RuntimeDevice, ::testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "V2" : "Host";
                         });

TEST_P(RuntimeDevice, NothingBeyondTheStandardOnes) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const std::string out = Run(Shell(
      pod, absl::StrCat("mknod /tmp/l b 7 7 && echo made; ", TryNode("/tmp/l"),
                        "mknod /tmp/console c 5 1; ", TryNode("/tmp/console"),
                        "mknod /tmp/z c 1 5; head -c1 /tmp/z | wc -c; "
                        "echo x > /dev/full || echo full; "
                        "stat -c '%a %u:%g %t:%T' /dev/urandom")));
  EXPECT_EQ(out, "made\n1\nfull\n666 0:0 1:9\n");
}

TEST_P(RuntimeDevice, ExactlyWhatWasAskedFor) {
  const SandboxSpec pod = Pod();
  Create(pod);
  EXPECT_EQ(Run(Try(pod, "/dev/mine", kDeviceRead)), "r\n");
  EXPECT_EQ(Run(Try(pod, "/dev/mine", kDeviceWrite)), "w\n");
  EXPECT_EQ(Run(Try(pod, "/dev/mine", kDeviceMknod)), "");
  EXPECT_EQ(Run(Try(pod, "/dev/deep/er/mine", kDeviceAll)), "r\nw\n");
  EXPECT_EQ(Run(Try(pod, "/opt/mine", kDeviceRead)), "r\n");
  // The neighbour stays shut.
  ContainerSpec spec =
      Shell(pod, "mknod /tmp/l b 7 6; " + TryNode("/tmp/l") + "echo end");
  spec.devices = {Ask("/dev/mine")};
  EXPECT_EQ(Run(spec), "end\n");
}

TEST_P(RuntimeDevice, OwnerAndModeAreTheHosts) {
  ASSERT_EQ(chown((nodes() + "/loop").c_str(), 12, 34), 0);
  ASSERT_EQ(chmod((nodes() + "/loop").c_str(), 0620), 0);
  const SandboxSpec pod = Pod();
  Create(pod);
  ContainerSpec spec = Shell(pod,
                             "for f in /dev/mine /opt/mine /dev/own; do "
                             "stat -c '%F %a %u:%g %t:%T' $f; done");
  DeviceRequest own = Ask("/dev/own");
  own.uid = 1000;
  own.mode = 0600;
  spec.devices = {Ask("/dev/mine"), Ask("/opt/mine"), own};
  EXPECT_EQ(Run(spec),
            "block special file 620 12:34 7:7\n"
            "block special file 620 12:34 7:7\n"
            "block special file 600 1000:34 7:7\n");
  // Elsewhere too it is a node of the container's own.
  spec = Shell(pod, "stat -c '%a %u:%g' /opt/own");
  spec.devices = {own};
  spec.devices[0].container_path = "/opt/own";
  EXPECT_EQ(Run(spec), "600 1000:34\n");
}

// The container may do what it likes to its nodes, wherever they are.
TEST_P(RuntimeDevice, FS_11_TheHostsNodeStaysAsItIs) {
  const SandboxSpec pod = Pod();
  Create(pod);
  ContainerSpec spec = Shell(pod,
                             "for f in /dev/mine /opt/mine; do chmod 0 $f && "
                             "chown 5:6 $f && touch $f; "
                             "done; stat -c '%a %u:%g' /dev/mine /opt/mine");
  spec.devices = {Ask("/dev/mine"), Ask("/opt/mine")};
  const std::string path = nodes() + "/loop";
  struct stat before;
  ASSERT_EQ(stat(path.c_str(), &before), 0);
  EXPECT_EQ(Run(spec), "0 5:6\n0 5:6\n");
  struct stat after;
  ASSERT_EQ(stat(path.c_str(), &after), 0);
  EXPECT_EQ(after.st_mode, before.st_mode);
  EXPECT_EQ(after.st_uid, before.st_uid);
  EXPECT_EQ(after.st_ctim.tv_sec, before.st_ctim.tv_sec);
  EXPECT_EQ(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
}

TEST_P(RuntimeDevice, FoldersGiveAllTheirNodes) {
  ASSERT_EQ(mkdir((nodes() + "/sub").c_str(), 0755), 0);
  ASSERT_TRUE(MakeNode("sub/second", 0600));
  ASSERT_EQ(symlink("/dev/kmsg", (nodes() + "/link").c_str()), 0);
  const SandboxSpec pod = Pod();
  Create(pod);
  ContainerSpec spec =
      Shell(pod, "ls /dev/all /dev/all/sub; " + TryNode("/dev/all/sub/second"));
  spec.devices = {Ask("/dev/all", kDeviceRead)};
  spec.devices[0].host_path = nodes();
  EXPECT_EQ(Run(spec), "/dev/all:\nloop\nsub\n\n/dev/all/sub:\nsecond\nr\n");
}

TEST_P(RuntimeDevice, UserNamespacePodsHaveThemToo) {
  const SandboxSpec pod = UserNamespacePod();
  Create(pod);
  ContainerSpec spec = Shell(
      pod, absl::StrCat(
               "stat -c '%a %u' /dev/mine /dev/own /dev/null; ",
               TryNode("/dev/mine"), TryNode("/dev/own"), TryNode("/opt/mine"),
               "echo x > /dev/null && mknod /dev/new b 7 7 2>&1; touch /dev/f "
               "&& echo touched"));
  DeviceRequest own = Ask("/dev/own");
  own.uid = 0;
  own.gid = 0;
  own.mode = 0600;
  spec.devices = {Ask("/dev/mine", kDeviceRead), own, Ask("/opt/mine")};
  // The host's root is nobody in there.
  const std::string out = Run(spec);
  EXPECT_THAT(out, HasSubstr("666 65534\n600 0\n666 0\n"));
  EXPECT_THAT(out, HasSubstr("r\nw\nr\nw\nr\nw\n"));
  EXPECT_THAT(out, HasSubstr("mknod: /dev/new: Operation not permitted\n"));
  EXPECT_THAT(out, HasSubstr("touched\n"));
}

// Lists some of /dev and tries a node of its own making.
constexpr char kLookAround[] =
    "for f in kmsg loop7 tty1 null; do test -e /dev/$f && "
    "stat -c '%n %t:%T' /dev/$f; done; ls /dev/pts; readlink /dev/ptmx; "
    "mknod /tmp/l b 7 7 2>/dev/null || echo none made; ";

void ExpectHostDevices(const std::string& out) {
  for (const char* path : {"/dev/kmsg", "/dev/loop7", "/dev/tty1"}) {
    if (access(path, F_OK) == 0) {
      EXPECT_THAT(out, HasSubstr(path));
    }
  }
  EXPECT_THAT(out, HasSubstr("/dev/null 1:3\nptmx\npts/ptmx\n"));
}

TEST_P(RuntimeDevice, PrivilegedHasThemAll) {
  const SandboxSpec pod = Pod();
  Create(pod);
  ContainerSpec spec = Shell(pod, kLookAround + TryNode("/tmp/l"));
  spec.privileged = true;
  spec.capabilities = (uint64_t{1} << 41) - 1;
  const std::string out = Run(spec);
  ExpectHostDevices(out);
  EXPECT_THAT(out, EndsWith("pts/ptmx\nr\nw\n"));
}

// As far as a user namespace goes: the nodes are there, those open to
// everybody open, none can be made.
TEST_P(RuntimeDevice, PrivilegedInAUserNamespace) {
  const SandboxSpec pod = UserNamespacePod();
  Create(pod);
  ContainerSpec spec =
      Shell(pod, kLookAround + TryNode("/dev/loop7") + TryNode("/dev/mine"));
  spec.privileged = true;
  spec.capabilities = (uint64_t{1} << 41) - 1;
  spec.devices = {Ask("/dev/mine")};
  const std::string out = Run(spec);
  ExpectHostDevices(out);
  EXPECT_THAT(out, EndsWith("none made\nr\nw\n"));
}

TEST_P(RuntimeDevice, FS_1_NumbersAreTakenOnce) {
  const SandboxSpec pod = Pod();
  const SandboxFacts pod_facts = Create(pod);
  ContainerSpec spec =
      Shell(pod, "stat -c '%t:%T' /dev/mine; " + TryNode("/dev/mine"));
  spec.devices = {Ask("/dev/mine", kDeviceRead)};
  const ContainerFacts facts = Create(spec);
  ASSERT_EQ(facts.devices.size(), 1u);
  EXPECT_EQ(facts.devices[0].number,
            (DeviceNumber{S_IFBLK, kLoopMajor, kLoopMinor}));
  // Another device takes the path: memory.
  const std::string path = nodes() + "/loop";
  ASSERT_EQ(unlink(path.c_str()), 0);
  ASSERT_EQ(mknod(path.c_str(), S_IFCHR | 0666, makedev(1, 1)), 0);
  Restart();
  ASSERT_TRUE(runtime().AdoptSandbox(pod, pod_facts).ok());
  ASSERT_TRUE(
      runtime().AdoptContainer(spec, facts, base::Deadline::Never()).ok());
  Start(spec);
  EXPECT_EQ(WaitExit(spec).exit_code, 0);
  EXPECT_EQ(LogPayload(log_text(spec), "stdout"), "7:7\nr\n");
}

TEST_P(RuntimeDevice, RefusedOnesLeaveNothing) {
  const SandboxSpec pod = Pod();
  Create(pod);
  const Ledger before = Ledger::Read(dir());
  DeviceRequest file = Ask("/dev/x");
  file.host_path = "/etc/passwd";
  DeviceRequest missing = Ask("/dev/x");
  missing.host_path = nodes() + "/missing";
  for (const DeviceRequest& bad :
       {file, missing, Ask("/dev/pts/1"), Ask("/proc/x"), Ask("/dev")}) {
    ContainerSpec spec = Shell(pod, "true");
    spec.devices = {bad};
    const absl::Status status = TryCreate(spec).status();
    EXPECT_THAT(std::string(status.message()), HasSubstr("config.devices[0]."));
    EXPECT_EQ(status.code(), bad.host_path == missing.host_path
                                 ? absl::StatusCode::kFailedPrecondition
                                 : absl::StatusCode::kInvalidArgument)
        << status;
  }
  ExpectEqual(before, Ledger::Read(dir()));
}

}  // namespace
}  // namespace warren::runtime
