#include "agent/store/record_specs.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

#include "agent/store/record_convert.h"

namespace warren::agent {
namespace {

namespace record = ::warren::record::v1;

// Every member differs from its default.
runtime::SandboxSpec WholeSandbox() {
  runtime::SandboxSpec spec;
  spec.id = "pod";
  spec.network = runtime::NamespaceMode::kHost;
  spec.ipc = runtime::NamespaceMode::kContainer;
  spec.pid = runtime::NamespaceMode::kPod;
  spec.uid_mappings = {{1, 2, 3}};
  spec.gid_mappings = {{4, 5, 6}, {7, 8, 9}};
  spec.time_offsets = {-10, 11};
  spec.time_offsets_requested = true;
  spec.hostname = "host";
  spec.sysctls = {{"net.a", "1"}, {"net.b", "2"}};
  spec.cgroup_parent = "/asked";
  spec.cgroup = {"/asked/pod", "/own"};
  spec.resolv_conf = "nameserver 192.0.2.1\n";
  spec.hosts = "hosts\n";
  spec.seccomp = {runtime::SeccompMode::kLocalhost, "/p.json"};
  return spec;
}

runtime::MountSpec WholeMount() {
  return {.container_path = "/c",
          .host_path = "/h",
          .readonly = true,
          .propagation = runtime::MountPropagation::kBidirectional,
          .recursive_readonly = true,
          .uid_mappings = {{1, 2, 3}},
          .gid_mappings = {{4, 5, 6}},
          .mapped_by_default = true,
          .image_layers = {"/l1", "/l2"},
          .image_sub_path = "sub",
          .nosuid = true,
          .nodev = true,
          .noexec = true,
          .recursive = false,
          .selinux_relabel = true};
}

// But for what GetFacts() knows: user and devices.
runtime::ContainerSpec WholeContainer() {
  runtime::ContainerSpec spec;
  spec.id = "container";
  spec.sandbox = WholeSandbox();
  spec.cgroup = {"/asked/container", "/own"};
  spec.layer_dirs = {"/1", "/2"};
  spec.readonly_rootfs = true;
  spec.args = {"/bin/x", "-\xff"};
  spec.env = {"A=\xfe"};
  spec.cwd = "/work";
  spec.tty = true;
  spec.stdin_open = true;
  spec.pid = runtime::NamespaceMode::kTarget;
  spec.pid_target = "other";
  spec.mounts = {WholeMount(), runtime::MountSpec()};
  spec.volumes = {"/data"};
  spec.capabilities = 0x1234;
  spec.ambient_capabilities = 0x4;
  spec.apparmor_profile = "profile";
  spec.selinux_label = "u:r:t:s0";
  spec.selinux_pod_level = "s0:c1";
  spec.privileged = true;
  spec.no_new_privs = true;
  spec.seccomp = {runtime::SeccompMode::kRuntimeDefault, ""};
  spec.masked_paths = {"/proc/kcore"};
  spec.readonly_paths = {"/proc/sys"};
  spec.resources.cpu_shares = 1;
  spec.resources.cpu_quota_us = 2;
  spec.resources.cpu_period_us = 3;
  spec.resources.memory_limit_bytes = 4;
  spec.resources.memory_swap_limit_bytes = 5;
  spec.resources.pids_limit = 6;
  spec.resources.cpuset_cpus = "0";
  spec.resources.cpuset_mems = "0";
  spec.resources.oom_score_adj = -7;
  spec.resources.hugepage_limits = {{"2MB", 8}};
  spec.resources.unified = {{"memory.high", "9"}};
  spec.oom_score_adj = -10;
  spec.log_directory = "/logs";
  spec.log_path = "c.log";
  return spec;
}

uint32_t Checksum(const google::protobuf::Message& message) {
  const std::string bytes = message.SerializeAsString();
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

TEST(RecordSpecs, REL_26_ResolvedSpecsComeBackWhole) {
  const runtime::SandboxSpec pod = WholeSandbox();
  record::PodSandboxRecord pod_record;
  Put(pod, &pod_record);
  record::PodSandboxRecord pod_read;
  ASSERT_TRUE(pod_read.ParseFromString(pod_record.SerializeAsString()));
  EXPECT_EQ(*GetSpec(pod_read), pod);

  runtime::ContainerSpec spec = WholeContainer();
  spec.cgroup.inner = "within";
  record::ContainerRecord container_record;
  Put(spec, &container_record);
  record::ContainerRecord read;
  ASSERT_TRUE(read.ParseFromString(container_record.SerializeAsString()));
  EXPECT_EQ(*GetSpec(read, pod), spec);
  // Written once more, nothing is added to.
  Put(spec, &container_record);
  EXPECT_EQ(*GetSpec(container_record, pod), spec);
}

// The golden bytes of version 2: a later build has to read what this one wrote.
// Whoever changes a number or a type of a field changes the version.
TEST(RecordSpecs, REL_26_TheBytesOfVersion2) {
  record::PodSandboxRecord pod;
  Put(WholeSandbox(), &pod);
  EXPECT_EQ(Checksum(pod), 3437422594u) << pod.ShortDebugString();
  record::ContainerRecord container;
  Put(WholeContainer(), &container);
  EXPECT_EQ(Checksum(container), 1405815332u) << container.ShortDebugString();
}

// The golden bytes of version 1, of which this build knows how to read them.
TEST(RecordSpecs, REL_26_TheBytesOfVersion1) {
  record::PodSandboxRecord pod;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"(id: "p" phase: RUNNING boot_id: "b" created_at_ns: 1
         config {
           metadata { name: "n" uid: "u" namespace: "ns" attempt: 2 }
           hostname: "h" log_directory: "/logs"
           linux { cgroup_parent: "/asked" }
         }
         lease_addresses: "10.1.0.5/16"
         namespaces { kind: "net" inode: 7 }
         pod_init { pid: 8 start_time: 9 }
         host_ifname: "w1" network_ready: true
         network { state: "s" addresses: "10.1.0.5/16" }
         granted_ids { start: 1048576 length: 65536 }
         ended_because: "e")",
      &pod));
  EXPECT_EQ(Checksum(pod), 2476098599u);
  const auto sandbox = RestoreSpec(pod, HostFacts());
  ASSERT_TRUE(sandbox.ok()) << sandbox.status();
  EXPECT_EQ(sandbox->cgroup_parent, "/asked");
  EXPECT_EQ(sandbox->hostname, "h");
  EXPECT_EQ(sandbox->uid_mappings[0].host_id, 1048576u);
  EXPECT_EQ(sandbox->cgroup, runtime::CgroupLeaf());

  record::ContainerRecord container;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"(id: "c" sandbox_id: "p" phase: RUNNING boot_id: "b" created_at_ns: 1
         started_at_ns: 2
         config { metadata { name: "m" } log_path: "c.log"
                  mounts { container_path: "/v" host_path: "/h" } }
         image_id: "i" image_ref: "r" image_name: "t" layer_dirs: "/l"
         user { uid: 3 gid: 4 groups: 5 home: "/" }
         args: "/x" env: "A=1" cwd: "/w" stop_signal: 15
         process { pid: 6 start_time: 7 } shim { pid: 8 start_time: 9 }
         apparmor_profile: "ap" selinux_label: "se" volumes: "/data"
         devices { container_path: "/dev/a" type: 8192 major: 1 minor: 2 }
         cdi_mounts { container_path: "/cdi" host_path: "/hc" })",
      &container));
  EXPECT_EQ(Checksum(container), 487807304u);
  const auto spec = RestoreSpec(container, pod, *sandbox);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->args, std::vector<std::string>{"/x"});
  EXPECT_EQ(spec->env, std::vector<std::string>{"A=1"});
  EXPECT_EQ(spec->cwd, "/w");
  EXPECT_EQ(spec->apparmor_profile, "ap");
  EXPECT_EQ(spec->selinux_label, "se");
  EXPECT_EQ(spec->volumes, std::vector<std::string>{"/data"});
  EXPECT_EQ(spec->mounts.size(), 2u);
  EXPECT_EQ(spec->user.uid, 3);
}

// Nothing of a resolved record is asked of today's rules.
TEST(RecordSpecs, REL_26_StricterRulesChangeNothingThatExists) {
  record::PodSandboxRecord pod;
  Put(WholeSandbox(), &pod);
  pod.mutable_config()->mutable_linux()->set_cgroup_parent("/../refused");
  ASSERT_FALSE(RestoreSpec(
                   [&] {
                     record::PodSandboxRecord old = pod;
                     old.clear_resolved();
                     return old;
                   }(),
                   HostFacts())
                   .ok());
  const auto sandbox = RestoreSpec(pod, HostFacts());
  ASSERT_TRUE(sandbox.ok()) << sandbox.status();
  EXPECT_EQ(*sandbox, WholeSandbox());
}

TEST(RecordSpecs, AValueThatNoVersionWroteIsDataLoss) {
  record::PodSandboxRecord pod;
  Put(WholeSandbox(), &pod);
  pod.mutable_resolved()->set_pid(4);
  EXPECT_TRUE(absl::IsDataLoss(GetSpec(pod).status()));
  record::ContainerRecord container;
  Put(WholeContainer(), &container);
  container.mutable_resolved()->mutable_seccomp()->set_mode(-1);
  EXPECT_TRUE(
      absl::IsDataLoss(GetSpec(container, runtime::SandboxSpec()).status()));
  Put(WholeContainer(), &container);
  container.mutable_resolved()->mutable_mounts(0)->set_propagation(3);
  EXPECT_TRUE(
      absl::IsDataLoss(GetSpec(container, runtime::SandboxSpec()).status()));
}

}  // namespace
}  // namespace warren::agent
