#include "agent/store/record_convert.h"

#include <gtest/gtest.h>

namespace warren::agent {
namespace {

namespace record = ::warren::record::v1;

TEST(RecordConvert, FactsRoundTrip) {
  runtime::SandboxFacts facts;
  facts.namespaces = {{runtime::NamespaceKind::kNet, 17, false},
                      {runtime::NamespaceKind::kTime, 18, true}};
  facts.pod_init = {33, 44};
  record::PodSandboxRecord record;
  Put(facts, &record);
  const runtime::SandboxFacts back = GetFacts(record);
  ASSERT_EQ(back.namespaces.size(), 2u);
  EXPECT_EQ(back.namespaces[1].kind, runtime::NamespaceKind::kTime);
  EXPECT_EQ(back.namespaces[1].inode, 18u);
  EXPECT_TRUE(back.namespaces[1].is_host);
  EXPECT_EQ(back.pod_init, facts.pod_init);

  runtime::ContainerFacts user;
  user.user = {1, 2, {2, 3}, "/home"};
  record::ContainerRecord container;
  Put(user, &container);
  EXPECT_EQ(GetFacts(container).user, user.user);
}

TEST(RecordConvert, LeaseRoundTripAndDamage) {
  netplugin::NetworkState network;
  network.sandbox_id = "s";
  network.opaque = std::string("any\0bytes\xff", 10);
  network.addresses = {*netplugin::IpPrefix::Parse("10.1.2.3/16"),
                       *netplugin::IpPrefix::Parse("fd00::5/64")};
  record::PodSandboxRecord record;
  record.set_id("s");
  Put(network, &record);
  record::PodSandboxRecord read;
  ASSERT_TRUE(read.ParseFromString(record.SerializeAsString()));
  EXPECT_EQ(**GetNetwork(read), network);
  record.mutable_network()->add_addresses("nonsense");
  EXPECT_EQ(GetNetwork(record).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(HasNetwork(record));
  // Without addresses (they come later) it is still a network; none is none.
  network.addresses.clear();
  Put(network, &record);
  EXPECT_EQ(**GetNetwork(record), network);
  Put(std::nullopt, &record);
  EXPECT_FALSE(HasNetwork(record));
  EXPECT_EQ(*GetNetwork(record), std::nullopt);
}

// Written by the last build before the PodNetwork seam.
constexpr char kRecordBeforeTheSeam[] =
    "\n@11111111111111111111111111111111"
    "11111111111111111111111111111111"
    "\x10\x04\x1a\x06"
    "boot-1 \x07"
    "2\x10\n\x0e\n\x03"
    "web\x12\x01u\x1a\x04shop"
    ":\x0c"
    "10.88.0.5/16:\n"
    "fd88::5/64"
    "B\x0b\n\x03net\x10\x80\x80\x80\x80\x0f"
    "b\x0fwr1111111111111h\x01";

TEST(RecordConvert, RecordsOfBeforeTheSeamAreRead) {
  record::PodSandboxRecord record;
  ASSERT_TRUE(record.ParseFromArray(kRecordBeforeTheSeam,
                                    sizeof(kRecordBeforeTheSeam) - 1));
  ASSERT_EQ(record.host_ifname(), "wr1111111111111");
  const auto network = GetNetwork(record);
  ASSERT_TRUE(network.ok()) << network.status();
  ASSERT_TRUE(network->has_value());
  EXPECT_EQ((*network)->sandbox_id, std::string(64, '1'));
  EXPECT_EQ((*network)->opaque, "");
  EXPECT_EQ((*network)->addresses,
            (std::vector<netplugin::IpPrefix>{
                *netplugin::IpPrefix::Parse("10.88.0.5/16"),
                *netplugin::IpPrefix::Parse("fd88::5/64")}));
  // Only the new form is written.
  netplugin::NetworkState checked = **network;
  checked.opaque = "new";
  Put(checked, &record);
  EXPECT_EQ(record.lease_addresses_size(), 0);
  EXPECT_EQ(**GetNetwork(record), checked);
  record.add_lease_addresses("nonsense");
  record.clear_network();
  EXPECT_EQ(GetNetwork(record).status().code(), absl::StatusCode::kDataLoss);
  // A host-network pod, or a stopped one, of then.
  record.clear_lease_addresses();
  EXPECT_EQ(*GetNetwork(record), std::nullopt);
}

TEST(RecordConvert, EXE_5_RestoredSpecTakesWhatWasDecided) {
  record::PodSandboxRecord pod;
  pod.set_id(std::string(64, '1'));
  pod.mutable_config()->mutable_metadata()->set_name("p");
  pod.mutable_config()->mutable_metadata()->set_namespace_("n");
  pod.mutable_config()->mutable_metadata()->set_uid("u");
  pod.mutable_config()->set_log_directory("/logs");
  const auto sandbox = RestoreSpec(pod, HostFacts());
  ASSERT_TRUE(sandbox.ok()) << sandbox.status();

  record::ContainerRecord record;
  record.set_id(std::string(64, '2'));
  record.mutable_config()->mutable_metadata()->set_name("c");
  record.mutable_config()->set_log_path("c.log");
  // Without the image's ENTRYPOINT these would be the whole command.
  record.mutable_config()->add_args("-v");
  record.add_args("/entry");
  record.add_args("-v");
  record.add_env("A=\xff\x01");
  record.set_cwd("/work");
  record.mutable_user()->set_uid(7);
  record.mutable_user()->add_groups(9);
  record.add_layer_dirs("/l1");
  const auto spec = RestoreSpec(record, pod, *sandbox);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->args, (std::vector<std::string>{"/entry", "-v"}));
  EXPECT_EQ(spec->env, (std::vector<std::string>{"A=\xff\x01"}));
  EXPECT_EQ(spec->cwd, "/work");
  EXPECT_EQ(spec->user.uid, 7);
  EXPECT_EQ(spec->user.supplemental_groups, (std::vector<int64_t>{9}));
  EXPECT_TRUE(spec->user.strict_groups);
  EXPECT_EQ(spec->layer_dirs, (std::vector<std::string>{"/l1"}));
  EXPECT_EQ(spec->log_directory, "/logs");
  EXPECT_EQ(spec->log_path, "c.log");
}

TEST(RecordConvert, VolumesComeFromTheRecordNotFromImages) {
  record::PodSandboxRecord pod;
  pod.set_id(std::string(64, '1'));
  pod.mutable_config()->mutable_metadata()->set_name("p");
  pod.mutable_config()->mutable_metadata()->set_namespace_("n");
  pod.mutable_config()->mutable_metadata()->set_uid("u");
  const auto sandbox = RestoreSpec(pod, HostFacts());
  ASSERT_TRUE(sandbox.ok()) << sandbox.status();
  record::ContainerRecord record;
  record.set_id(std::string(64, '2'));
  record.mutable_config()->mutable_metadata()->set_name("c");
  auto* plain = record.mutable_config()->add_mounts();
  plain->set_container_path("/a/b");
  plain->set_host_path("/h");
  auto* mount = record.mutable_config()->add_mounts();
  mount->set_container_path("/models");
  mount->mutable_image()->set_image("gone:1");
  mount->set_image_sub_path("sub");
  record::VolumeImage* volume = record.add_volume_images();
  volume->set_mount(1);
  volume->set_image_id("sha256:x");
  volume->add_layer_dirs("/layers/7");
  record.add_volumes("/data");
  const auto spec = RestoreSpec(record, pod, *sandbox);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->volumes, std::vector<std::string>{"/data"});
  ASSERT_EQ(spec->mounts.size(), 2u);
  EXPECT_EQ(spec->mounts[0].image_layers,
            std::vector<std::string>{"/layers/7"});
  EXPECT_EQ(spec->mounts[0].image_sub_path, "sub");
}

// Neither an unloaded profile nor a changed configuration may take a running
// container from us.
TEST(RecordConvert, EXE_8_RestoredSpecKeepsItsLabelsAndIds) {
  record::PodSandboxRecord pod;
  pod.set_id(std::string(64, '1'));
  pod.mutable_config()->mutable_metadata()->set_name("p");
  pod.mutable_config()->mutable_metadata()->set_namespace_("n");
  pod.mutable_config()->mutable_metadata()->set_uid("u");
  pod.mutable_granted_ids()->set_start(1 << 20);
  pod.mutable_granted_ids()->set_length(65536);
  const auto sandbox = RestoreSpec(pod, HostFacts());
  ASSERT_TRUE(sandbox.ok()) << sandbox.status();
  EXPECT_EQ(sandbox->uid_mappings,
            (std::vector<runtime::IdMapping>{{0, 1 << 20, 65536}}));
  EXPECT_EQ(sandbox->gid_mappings, sandbox->uid_mappings);

  record::ContainerRecord record;
  record.set_id(std::string(64, '2'));
  record.mutable_config()->mutable_metadata()->set_name("c");
  auto* security =
      record.mutable_config()->mutable_linux()->mutable_security_context();
  security->mutable_selinux_options()->set_type("t");
  security->mutable_apparmor()->set_profile_type(
      cri::SecurityProfile::RuntimeDefault);
  security->mutable_capabilities()->add_add_ambient_capabilities("CHOWN");
  record.set_apparmor_profile("the default of then");
  record.set_selinux_label("u:r:t:s0");
  record.add_args("/entry");
  const auto spec = RestoreSpec(record, pod, *sandbox);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->apparmor_profile, "the default of then");
  EXPECT_EQ(spec->selinux_label, "u:r:t:s0");
  EXPECT_EQ(spec->ambient_capabilities, 1u);
}

TEST(RecordConvert, DevicesAreWhatTheyWere) {
  runtime::ContainerFacts facts;
  facts.devices = {{"/dev/a", "/host/a", {0020000, 1, 2}, 0640, 3, 4, 5},
                   {"/dev/b", "", {0060000, 6, 7}, 0, 8, 9, 1}};
  record::PodSandboxRecord pod;
  pod.set_id(std::string(64, '1'));
  pod.mutable_config()->mutable_metadata()->set_name("p");
  record::ContainerRecord record;
  record.set_id(std::string(64, '2'));
  record.mutable_config()->mutable_metadata()->set_name("c");
  // The file that defines it may be gone.
  record.mutable_config()->add_cdi_devices()->set_name("v/c=d");
  Put(facts, &record);
  record::CdiMount* brought = record.add_cdi_mounts();
  brought->set_container_path("/c");
  brought->set_host_path("/h");
  brought->set_readonly(true);
  brought->set_propagation(1);
  brought->set_nosuid(true);
  brought->set_noexec(true);
  record::ContainerRecord read;
  ASSERT_TRUE(read.ParseFromString(record.SerializeAsString()));
  EXPECT_EQ(GetFacts(read).devices, facts.devices);
  const auto spec = RestoreSpec(read, pod, runtime::SandboxSpec());
  ASSERT_TRUE(spec.ok()) << spec.status();
  ASSERT_EQ(spec->mounts.size(), 1u);
  const runtime::MountSpec& restored = spec->mounts[0];
  EXPECT_EQ(restored.container_path, "/c");
  EXPECT_EQ(restored.host_path, "/h");
  EXPECT_EQ(restored.propagation, runtime::MountPropagation::kHostToContainer);
  EXPECT_TRUE(restored.readonly && restored.nosuid && restored.noexec);
  EXPECT_FALSE(restored.nodev || restored.recursive);
}

}  // namespace
}  // namespace warren::agent
