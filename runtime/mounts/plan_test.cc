#include "runtime/mounts/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "runtime/base/path.h"

namespace warren::runtime {
namespace {

using shim::v1::MountOp;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const MountHost kV2 = {{{"", "cgroup2", {}}}, false};
const MountHost kV1 = {{{"cpu,cpuacct", "cgroup", {"cpu", "cpuacct"}},
                        {"systemd", "cgroup", {"name=systemd"}}},
                       true};

std::vector<std::string> Targets(const MountPlan& plan) {
  std::vector<std::string> targets;
  for (const PlannedMount& m : plan.mounts) targets.push_back(m.op.target());
  return targets;
}

const PlannedMount* At(const MountPlan& plan, const std::string& target) {
  for (const PlannedMount& m : plan.mounts) {
    if (m.op.target() == target) return &m;
  }
  return nullptr;
}

MountPlan Plan(const ContainerSpec& spec, const MountHost& host = kV1) {
  auto plan = PlanMounts(spec, host);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *std::move(plan) : MountPlan();
}

TEST(Mounts, BaseTreeInOrder) {
  EXPECT_THAT(Targets(Plan({}, kV2)),
              ElementsAre("/proc", "/dev", "/dev/null", "/dev/zero",
                          "/dev/full", "/dev/random", "/dev/urandom",
                          "/dev/tty", "/dev/fd", "/dev/stdin", "/dev/stdout",
                          "/dev/stderr", "/dev/ptmx", "/dev/pts", "/dev/shm",
                          "/dev/mqueue", "/sys", "/sys/fs/cgroup",
                          "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"));
  const MountPlan v1 = Plan({}, kV1);
  EXPECT_THAT(Targets(v1), Contains("/sys/fs/cgroup/cpu,cpuacct"));
  EXPECT_EQ(At(v1, "/sys/fs/cgroup")->source, MountSource::kCgroupDirectory);
  const MountOp& named = At(v1, "/sys/fs/cgroup/systemd")->op;
  EXPECT_EQ(named.fs_options(0), "name=systemd");
  EXPECT_NE(named.attributes() & MOUNT_ATTR_RDONLY, 0u);
}

TEST(Mounts, RequestReplacesWhatItCovers) {
  ContainerSpec spec;
  spec.mounts = {{"/dev/", "/dev"}, {"/etc/hosts", "/h"}, {"/sys", "/sys"}};
  const MountPlan plan = Plan(spec);
  EXPECT_THAT(Targets(plan),
              ElementsAre("/proc", "/etc/hostname", "/etc/resolv.conf", "/dev",
                          "/sys", "/etc/hosts"));
  // "/device" is not below "/dev".
  spec.mounts = {{"/etc/hostnames", "/h"}};
  EXPECT_THAT(Targets(Plan(spec)), Contains("/etc/hostname"));
}

TEST(Mounts, ParentsFirstThenTheRequestsOrder) {
  ContainerSpec spec;
  spec.mounts = {{"/a/b/c", "/1"}, {"/z", "/2"}, {"/a/b", "/3"}, {"/y", "/4"}};
  spec.masked_paths = {"/proc/keys"};
  spec.readonly_paths = {"/proc/sys"};
  const std::vector<std::string> all = Targets(Plan(spec));
  const std::vector<std::string> last(all.end() - 6, all.end());
  EXPECT_THAT(last, ElementsAre("/z", "/y", "/a/b", "/a/b/c", "/proc/keys",
                                "/proc/sys"));
}

TEST(Mounts, FS_6_ReservedTargets) {
  for (const char* bad :
       {"/", "", "a", "/proc", "/proc/1", "/x/../proc", "//proc//",
        "/proc/net/dev", "/proc/meminfo/x", "/proc/self/attr/exec"}) {
    ContainerSpec spec;
    spec.mounts = {{bad, "/h"}};
    EXPECT_EQ(PlanMounts(spec, kV1).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
  }
  for (const char* good : {"/dev", "/dev/shm", "/sys", "/sys/fs/cgroup",
                           "/process", "/etc", "/system", "/home/../data"}) {
    ContainerSpec spec;
    spec.mounts = {{good, "/h"}};
    EXPECT_TRUE(PlanMounts(spec, kV1).ok()) << good;
  }
  ContainerSpec spec;
  spec.mounts = {{"/x", "relative"}};
  EXPECT_THAT(PlanMounts(spec, kV1).status().message(), HasSubstr("host_path"));
}

TEST(Mounts, RecursiveReadonlyIsObeyedOrRefused) {
  ContainerSpec spec;
  spec.mounts = {{"/a", "/h", true}};
  EXPECT_FALSE(At(Plan(spec), "/a")->recursive_attributes);
  spec.mounts[0].recursive_readonly = true;
  EXPECT_TRUE(At(Plan(spec), "/a")->recursive_attributes);
  MountHost old = kV1;
  old.recursive_readonly = false;
  const absl::Status refused = PlanMounts(spec, old).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(refused.message().find("RROUnsupported: "), 0u);
  spec.mounts[0].propagation = MountPropagation::kHostToContainer;
  EXPECT_FALSE(PlanMounts(spec, kV1).ok());
  spec.mounts[0].propagation = MountPropagation::kPrivate;
  spec.mounts[0].readonly = false;
  EXPECT_FALSE(PlanMounts(spec, kV1).ok());
}

TEST(Mounts, OwnersAreMappedAsTheMountSays) {
  ContainerSpec spec;
  spec.sandbox.uid_mappings = spec.sandbox.gid_mappings = {{0, 65536, 65536}};
  spec.mounts = {{"/plain", "/h"}, {"/own", "/h"}};
  spec.mounts[1].uid_mappings = spec.mounts[1].gid_mappings = {{0, 1000, 10}};
  spec.mounts.push_back(
      {.container_path = "/image", .host_path = "", .image_layers = {"/l"}});
  const MountPlan plan = Plan(spec);
  EXPECT_TRUE(At(plan, "/plain")->uid_mappings.empty());
  EXPECT_EQ(At(plan, "/own")->uid_mappings, spec.mounts[1].uid_mappings);
  EXPECT_EQ(At(plan, "/image")->uid_mappings, spec.sandbox.uid_mappings);
  spec.mounts[1].gid_mappings.clear();
  EXPECT_THAT(PlanMounts(spec, kV1).status().message(),
              HasSubstr("given together"));
  spec.mounts[1].gid_mappings = {{0, 1000, 0}};
  EXPECT_THAT(PlanMounts(spec, kV1).status().message(),
              HasSubstr("gidMappings: length"));
}

TEST(Mounts, ImagesGiveNothingButData) {
  ContainerSpec spec;
  spec.mounts.push_back({.container_path = "/image",
                         .host_path = "",
                         .image_layers = {"/l1", "/l2"},
                         .image_sub_path = "a/b"});
  const MountPlan plan = Plan(spec);
  const PlannedMount* image = At(plan, "/image");
  EXPECT_EQ(image->source, MountSource::kImage);
  EXPECT_EQ(image->path, "a/b");
  EXPECT_THAT(image->image_layers, ElementsAre("/l1", "/l2"));
  EXPECT_EQ(image->attributes, uint64_t{MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                        MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC});
}

TEST(Mounts, VolumesOfTheImageLieBelowTheBaseMountsOrInsideARequestedOne) {
  ContainerSpec spec;
  spec.readonly_rootfs = true;
  spec.volumes = {"/etc", "/data/b/c", "/data/b", "/srv/x"};
  spec.mounts = {{"/srv", "/h"}, {"/srv/x/y", "/h"}};
  const std::vector<std::string> all = Targets(Plan(spec));
  EXPECT_THAT(std::vector<std::string>(all.begin(), all.begin() + 4),
              ElementsAre("/etc", "/data/b", "/data/b/c", "/proc"));
  EXPECT_THAT(all, Contains("/etc/hosts"));
  EXPECT_THAT(std::vector<std::string>(all.end() - 3, all.end()),
              ElementsAre("/srv", "/srv/x", "/srv/x/y"));
  const MountPlan plan = Plan(spec);
  EXPECT_EQ(At(plan, "/etc")->source, MountSource::kVolume);
  EXPECT_EQ(At(plan, "/etc")->attributes, 0u);
  for (const char* bad : {"/", "data", "/proc", "/proc/1", "/dev", "/dev/shm",
                          "/sys/fs/cgroup", "/a/../dev"}) {
    spec.volumes = {bad};
    EXPECT_EQ(
        PlanMounts(spec, kV1).status().message().find("volume of the image"),
        0u)
        << bad;
  }
}

TEST(Mounts, UserNamespaceBindsWhatItCannotMake) {
  ContainerSpec spec;
  spec.sandbox.uid_mappings = spec.sandbox.gid_mappings = {{0, 65536, 65536}};
  MountPlan plan = Plan(spec);
  // Nodes in a tmpfs that the host owns and the pod's root may write to.
  EXPECT_EQ(At(plan, "/dev")->source, MountSource::kDeviceDirectory);
  EXPECT_EQ(At(plan, "/dev")->devices[0].uid, 65536u);
  EXPECT_EQ(At(plan, "/dev/null"), nullptr);
  EXPECT_EQ(At(plan, "/sys")->op.fs_type(), "sysfs");
  EXPECT_THAT(At(plan, "/dev/pts")->op.fs_options(), Contains("gid=5"));
  spec.sandbox.network = spec.sandbox.ipc = NamespaceMode::kHost;
  spec.sandbox.pid = spec.pid = NamespaceMode::kHost;
  spec.sandbox.gid_mappings[0].length = 2;
  plan = Plan(spec);
  const PlannedMount* sys = At(plan, "/sys");
  EXPECT_EQ(sys->source, MountSource::kHostPath);
  EXPECT_TRUE(sys->recursive_attributes);
  EXPECT_EQ(sys->attributes, uint64_t{MOUNT_ATTR_RDONLY});
  EXPECT_EQ(At(plan, "/proc")->source, MountSource::kHostPath);
  EXPECT_EQ(At(plan, "/dev/shm")->path, "/dev/shm");
  EXPECT_THAT(Targets(plan), Not(Contains("/dev/mqueue")));
  EXPECT_THAT(At(plan, "/dev/pts")->op.fs_options(), Not(Contains("gid=5")));
}

TEST(Mounts, DevicesAreGuardedOneWayOrTheOther) {
  ContainerSpec spec;
  spec.mounts = {{"/v", "/h"}};
  EXPECT_EQ(At(Plan(spec, kV1), "/dev/null"), nullptr);
  EXPECT_EQ(At(Plan(spec, kV1), "/dev")->devices.size(), 6u);
  EXPECT_EQ(Plan(spec, kV1).rootfs_attributes, 0u);
  // Without a devices controller no mount but the bound nodes opens any.
  const MountPlan guarded = Plan(spec, kV2);
  EXPECT_EQ(At(guarded, "/dev/null")->source, MountSource::kDevice);
  EXPECT_NE(At(guarded, "/dev")->op.attributes() & MOUNT_ATTR_NODEV, 0u);
  EXPECT_NE(At(guarded, "/v")->attributes & MOUNT_ATTR_NODEV, 0u);
  EXPECT_EQ(guarded.rootfs_attributes, uint64_t{MOUNT_ATTR_NODEV});
  spec.privileged = true;
  EXPECT_EQ(Plan(spec, kV2).rootfs_attributes, 0u);
  EXPECT_EQ(At(Plan(spec, kV2), "/sys")->op.attributes() & MOUNT_ATTR_RDONLY,
            0u);
}

TEST(Mounts, DevicesOfTheRequest) {
  const std::vector<DeviceNode> devices = {
      {"/dev/snd/pcm", "/dev/snd/pcm", {S_IFCHR, 116, 2}},
      {"/opt/disk", "/dev/sda", {S_IFBLK, 8, 0}},
      {"/dev/null", "/dev/zero", {S_IFCHR, 1, 5}}};
  ContainerSpec spec;
  auto plan = PlanMounts(spec, kV1, devices);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const PlannedMount* dev = At(*plan, "/dev");
  ASSERT_EQ(dev->devices.size(), 7u);
  EXPECT_EQ(dev->devices[0], devices[2]);  // in place of the standard one
  EXPECT_EQ(dev->devices[6], devices[0]);
  EXPECT_EQ(At(*plan, "/opt/disk")->source, MountSource::kDevice);
  EXPECT_EQ(At(*plan, "/opt/disk")->devices[0], devices[1]);
  plan = PlanMounts(spec, kV2, devices);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(At(*plan, "/dev")->devices.empty());
  EXPECT_EQ(At(*plan, "/dev/snd/pcm")->source, MountSource::kDevice);
  // Nothing would hold it to that.
  std::vector<DeviceNode> read_only = devices;
  read_only[0].access = kDeviceRead;
  EXPECT_TRUE(PlanMounts(spec, kV1, read_only).ok());
  EXPECT_EQ(PlanMounts(spec, kV2, read_only).status().code(),
            absl::StatusCode::kFailedPrecondition);
  // Made there, it would be made on the host.
  spec.mounts = {{"/opt", "/h"}};
  plan = PlanMounts(spec, kV1, devices);
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(plan.status().message(), HasSubstr("/opt/disk"));
  spec.privileged = true;
  spec.mounts.push_back({"/dev", "/dev"});
  plan = PlanMounts(spec, kV1, devices);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(At(*plan, "/opt/disk"), nullptr);
}

TEST(Mounts, ReadonlyAndPropagation) {
  ContainerSpec spec;
  spec.readonly_rootfs = true;
  spec.mounts = {{"/a", "/h", true, MountPropagation::kPrivate},
                 {"/b", "/h", false, MountPropagation::kHostToContainer}};
  MountPlan plan = Plan(spec);
  EXPECT_EQ(At(plan, "/etc/hosts")->attributes, uint64_t{MOUNT_ATTR_RDONLY});
  EXPECT_EQ(At(plan, "/a")->attributes, uint64_t{MOUNT_ATTR_RDONLY});
  EXPECT_EQ(At(plan, "/b")->attributes, 0u);
  EXPECT_EQ(plan.rootfs_propagation, uint64_t{MS_SLAVE});
  spec.mounts.push_back({"/c", "/h", false, MountPropagation::kBidirectional});
  EXPECT_EQ(Plan(spec).rootfs_propagation, uint64_t{MS_SHARED});
  spec.mounts.clear();
  EXPECT_EQ(Plan(spec).rootfs_propagation, uint64_t{MS_PRIVATE});
}

TEST(Mounts, CleanPaths) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"/", "/"},
      {"//", "/"},
      {"/a/", "/a"},
      {"/a//b/./c", "/a/b/c"},
      {"/a/../..", "/"},
      {"/../a", "/a"},
      {"/a/b/../c", "/a/c"},
      {"/...", "/..."},
      {"/a/.b", "/a/.b"}};
  for (const auto& [in, out] : cases) {
    EXPECT_EQ(base::CleanPath(in).value_or("error"), out) << in;
  }
  EXPECT_FALSE(base::CleanPath("").ok());
  EXPECT_FALSE(base::CleanPath("a/b").ok());
  EXPECT_FALSE(base::CleanPath(absl::string_view("/a\0b", 4)).ok());
  EXPECT_FALSE(base::CleanPath("/" + std::string(4096, 'a')).ok());
}

// What each mount of a labelled container is told.
std::string LabelAt(const MountPlan& plan, const std::string& target) {
  const PlannedMount* m = At(plan, target);
  if (m == nullptr) return "missing";
  for (const std::string& option : m->op.fs_options()) {
    if (option.substr(0, 8) == "context=") return option;
  }
  return m->op.root_label().empty() ? m->label : "root " + m->op.root_label();
}

TEST(Mounts, EXE_8_LabelsOfWhatIsTheContainersOwn) {
  const std::string files = "u:object_r:container_file_t:";
  ContainerSpec spec;
  spec.selinux_label = "u:r:t:s0:c1,c2";
  spec.volumes = {"/data"};
  spec.mounts = {
      {.container_path = "/asked", .host_path = "/h"},
      {.container_path = "/plain", .host_path = "/h"},
      {.container_path = "/image", .host_path = "", .image_layers = {"/l"}}};
  spec.mounts[0].selinux_relabel = true;
  spec.masked_paths = {"/proc/acpi"};
  MountPlan plan = Plan(spec);
  for (const char* target :
       {"/dev", "/data", "/asked", "/image", "/sys/fs/cgroup"}) {
    EXPECT_EQ(LabelAt(plan, target), files + "s0:c1,c2") << target;
  }
  for (const char* target : {"/dev/pts", "/proc/acpi"}) {
    EXPECT_EQ(LabelAt(plan, target), "context=" + files + "s0:c1,c2") << target;
  }
  for (const char* target :
       {"/proc", "/sys", "/sys/fs/cgroup/systemd", "/plain", "/dev/fd"}) {
    EXPECT_EQ(LabelAt(plan, target), "") << target;
  }
  EXPECT_EQ(LabelAt(plan, "/dev/mqueue"), "root " + files + "s0");
  spec.selinux_pod_level = "s0:c1";
  plan = Plan(spec);
  EXPECT_EQ(LabelAt(plan, "/dev/mqueue"), "root " + files + "s0:c1");
  for (const char* target : {"/dev/shm", "/etc/hosts"}) {
    EXPECT_EQ(LabelAt(plan, target), files + "s0:c1") << target;
  }
  // FS-10: what is the host's keeps its own.
  spec.sandbox.ipc = NamespaceMode::kHost;
  plan = Plan(spec);
  EXPECT_EQ(LabelAt(plan, "/dev/shm"), "");
  EXPECT_EQ(LabelAt(plan, "/dev/mqueue"), "");
  // Without a label nobody gives any.
  spec.selinux_label.clear();
  const MountPlan none = Plan(spec);
  for (const PlannedMount& m : none.mounts) {
    EXPECT_EQ(LabelAt(none, m.op.target()), "") << m.op.target();
  }
}

}  // namespace
}  // namespace warren::runtime
