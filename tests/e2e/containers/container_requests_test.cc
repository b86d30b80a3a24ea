// CreateContainer with bad requests: each is refused with the right code and
// leaves nothing.
#include <functional>
#include <string>
#include <vector>

#include "tests/support/cri_test.h"
#include "tests/support/oci_image.h"

namespace warren::test {
namespace {

using Config = cri::ContainerConfig;

struct BadContainer {
  const char* what;
  const char* field;  // that the error names
  std::function<void(Config*)> change;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

cri::LinuxContainerSecurityContext* Security(Config* config) {
  return config->mutable_linux()->mutable_security_context();
}

cri::Mount* OneMount(Config* config) {
  AddMount(config, "/tmp", "/data", false);
  return config->mutable_mounts(0);
}

const std::vector<BadContainer>& BadBasics() {
  static const auto* cases = new std::vector<BadContainer>{
      {"no metadata", "config.metadata.name",
       [](Config* c) { c->clear_metadata(); }},
      {"no name", "config.metadata.name",
       [](Config* c) { c->mutable_metadata()->clear_name(); }},
      {"no image", "config.image.image", [](Config* c) { c->clear_image(); }},
      {"empty image", "config.image.image",
       [](Config* c) { c->mutable_image()->clear_image(); }},
      {"image that is not here", "no.such/image:1",
       [](Config* c) { c->mutable_image()->set_image("no.such/image:1"); },
       absl::StatusCode::kNotFound},
      {"relative working directory", "config.working_dir",
       [](Config* c) { c->set_working_dir("here"); }},
      {"log path with ..", "config.log_path",
       [](Config* c) { c->set_log_path("../x.log"); }},
      {"absolute log path", "config.log_path",
       [](Config* c) { c->set_log_path("/etc/x.log"); }},
      {"environment key with =", "config.envs[0].key",
       [](Config* c) { c->add_envs()->set_key("A=B"); }},
      {"environment value with NUL", "config.envs[0].value",
       [](Config* c) {
         auto* env = c->add_envs();
         env->set_key("A");
         env->set_value(std::string("a\0b", 3));
       }},
      {"argument with NUL", "config.command",
       [](Config* c) { c->add_args(std::string("a\0b", 3)); }},
      {"stop signal 999", "config.stop_signal",
       [](Config* c) { c->set_stop_signal(static_cast<cri::Signal>(999)); }},
  };
  return *cases;
}

const std::vector<BadContainer>& BadMounts() {
  static const auto* cases = new std::vector<BadContainer>{
      {"relative container path", "mounts[0].container_path",
       [](Config* c) { OneMount(c)->set_container_path("data"); }},
      {"no container path", "mounts[0].container_path",
       [](Config* c) { OneMount(c)->clear_container_path(); }},
      {"no host path", "mounts[0].host_path",
       [](Config* c) { OneMount(c)->clear_host_path(); }},
      {"relative host path", "mounts[0].host_path",
       [](Config* c) { OneMount(c)->set_host_path("tmp"); }},
      {"propagation 9", "mounts[0].propagation",
       [](Config* c) {
         OneMount(c)->set_propagation(static_cast<cri::MountPropagation>(9));
       }},
      {"recursive read-only without read-only", "mounts[0].recursive_read_only",
       [](Config* c) { OneMount(c)->set_recursive_read_only(true); }},
      {"recursive read-only that propagates", "mounts[0].recursive_read_only",
       [](Config* c) {
         OneMount(c)->set_recursive_read_only(true);
         c->mutable_mounts(0)->set_readonly(true);
         c->mutable_mounts(0)->set_propagation(
             cri::PROPAGATION_HOST_TO_CONTAINER);
       }},
  };
  return *cases;
}

const std::vector<BadContainer>& BadImageVolumes() {
  static const auto* cases = new std::vector<BadContainer>{
      {"image volume with a host path", "mounts[0].host_path",
       [](Config* c) { OneMount(c)->mutable_image()->set_image(kBusybox); }},
      {"image volume without a name", "mounts[0].image.image",
       [](Config* c) {
         OneMount(c)->clear_host_path();
         c->mutable_mounts(0)->mutable_image();
       }},
      {"image volume that is not here", "no.such/image:1",
       [](Config* c) {
         OneMount(c)->clear_host_path();
         c->mutable_mounts(0)->mutable_image()->set_image("no.such/image:1");
       },
       absl::StatusCode::kNotFound},
      {"image volume that goes both ways", "mounts[0].propagation",
       [](Config* c) {
         OneMount(c)->clear_host_path();
         c->mutable_mounts(0)->mutable_image()->set_image(kBusybox);
         c->mutable_mounts(0)->set_propagation(cri::PROPAGATION_BIDIRECTIONAL);
       }},
      {"sub-path that is not in the image", "image_sub_path",
       [](Config* c) {
         OneMount(c)->clear_host_path();
         c->mutable_mounts(0)->mutable_image()->set_image(kBusybox);
         c->mutable_mounts(0)->set_image_sub_path("no/such");
       }},
      {"sub-path that climbs", "mounts[0].image_sub_path",
       [](Config* c) {
         OneMount(c)->clear_host_path();
         c->mutable_mounts(0)->mutable_image()->set_image(kBusybox);
         c->mutable_mounts(0)->set_image_sub_path("bin/../../etc");
       }},
      {"sub-path without an image", "mounts[0].image_sub_path",
       [](Config* c) { OneMount(c)->set_image_sub_path("bin"); }},
  };
  return *cases;
}

const std::vector<BadContainer>& BadOwnersAndPropagations() {
  static const auto* cases = new std::vector<BadContainer>{
      {"1025 mounts", "config.mounts",
       [](Config* c) {
         for (int i = 0; i < 1025; ++i) AddMount(c, "/tmp", "/data", false);
       }},
      {"half a mapping", "mounts[0].gidMappings",
       [](Config* c) {
         auto* mapping = OneMount(c)->add_uidmappings();
         mapping->set_length(65536);
         mapping->set_host_id(65536);
       }},
      {"a propagation that the source does not have", "propagation",
       [](Config* c) {
         OneMount(c)->set_host_path("/proc");
         c->mutable_mounts(0)->set_propagation(
             cri::PROPAGATION_HOST_TO_CONTAINER);
       },
       absl::StatusCode::kFailedPrecondition},
      {"owners mapped where the file system cannot", "uidMappings",
       [](Config* c) {
         OneMount(c)->set_host_path("/proc");
         for (auto* mapping : {c->mutable_mounts(0)->add_uidmappings(),
                               c->mutable_mounts(0)->add_gidmappings()}) {
           mapping->set_length(65536);
           mapping->set_host_id(65536);
         }
       },
       absl::StatusCode::kFailedPrecondition},
  };
  return *cases;
}

const std::vector<BadContainer>& BadSecurity() {
  static const auto* cases = new std::vector<BadContainer>{
      {"group without user", "run_as_group",
       [](Config* c) { Security(c)->mutable_run_as_group()->set_value(1); }},
      {"negative user", "run_as_user",
       [](Config* c) { Security(c)->mutable_run_as_user()->set_value(-1); }},
      {"user beyond 31 bits", "run_as_user",
       [](Config* c) {
         Security(c)->mutable_run_as_user()->set_value(1LL << 31);
       }},
      {"negative group", "run_as_group",
       [](Config* c) {
         Security(c)->mutable_run_as_user()->set_value(1);
         Security(c)->mutable_run_as_group()->set_value(-1);
       }},
      {"group beyond 31 bits", "supplemental_groups",
       [](Config* c) { Security(c)->add_supplemental_groups(1LL << 31); }},
      {"65537 groups", "supplemental_groups",
       [](Config* c) {
         for (int i = 0; i <= 65536; ++i) {
           Security(c)->add_supplemental_groups(i);
         }
       }},
      {"relative read-only path", "readonly_paths",
       [](Config* c) { Security(c)->add_readonly_paths("proc/sys"); }},
      {"unknown capability to drop", "drop_capabilities",
       [](Config* c) {
         Security(c)->mutable_capabilities()->add_drop_capabilities("FLY");
       }},
      {"unknown capability", "add_capabilities",
       [](Config* c) {
         Security(c)->mutable_capabilities()->add_add_capabilities("FLY");
       }},
      {"unknown groups policy", "supplemental_groups_policy",
       [](Config* c) {
         Security(c)->set_supplemental_groups_policy(
             static_cast<cri::SupplementalGroupsPolicy>(7));
       }},
      {"relative masked path", "masked_paths",
       [](Config* c) { Security(c)->add_masked_paths("proc/kcore"); }},
      {"other user namespace than the pod", "userns_options",
       [](Config* c) { UseUserNamespace(NamespaceOptions(c), 1 << 16); }},
      {"target that is not here", "target_id",
       [](Config* c) {
         NamespaceOptions(c)->set_pid(cri::TARGET);
         NamespaceOptions(c)->set_target_id(std::string(64, 'f'));
       }},
      {"TARGET without a target", "target_id",
       [](Config* c) { NamespaceOptions(c)->set_pid(cri::TARGET); }},
  };
  return *cases;
}

class ContainerRequestsTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    if (HasFatalFailure()) return;
    pod_ = Pod("pod");
    pod_id_ = RunPod(pod_);
  }
  absl::Status Create(const Config& config) {
    return client().CreateContainer(pod_id_, config, pod_).status();
  }
  void ExpectRefused(const std::vector<BadContainer>& cases) {
    const Ledger before = TakeLedger(daemon().Scope());
    for (const BadContainer& bad : cases) {
      Config config = IdleConfig("bad");
      bad.change(&config);
      const auto id = client().CreateContainer(pod_id_, config, pod_);
      EXPECT_EQ(absl::StatusCodeToString(id.status().code()),
                absl::StatusCodeToString(bad.code))
          << bad.what << ": " << id.status();
      EXPECT_THAT(std::string(id.status().message()),
                  testing::HasSubstr(bad.field))
          << bad.what;
      if (id.ok()) {
        EXPECT_TRUE(client().RemoveContainer(*id).ok());
      }
      EXPECT_EQ(SettledDiff(before, daemon().Scope()), "") << bad.what;
    }
    EXPECT_TRUE(client().ListContainers()->empty());
  }

  cri::PodSandboxConfig pod_;
  std::string pod_id_;
};

TEST_F(ContainerRequestsTest, BadBasicsAreRefused) {
  ExpectRefused(BadBasics());
}
TEST_F(ContainerRequestsTest, BadMountsAreRefused) {
  ExpectRefused(BadMounts());
  ExpectRefused(BadImageVolumes());
  ExpectRefused(BadOwnersAndPropagations());
}
TEST_F(ContainerRequestsTest, BadSecuritySettingsAreRefused) {
  ExpectRefused(BadSecurity());
}

TEST_F(ContainerRequestsTest, NothingToRunIsRefused) {
  OciImage image;
  image.layers = {BusyboxLayer({"sh"}, {})};
  ASSERT_TRUE(client().ImportImage("warren.test/no:1", OciArchive(image)).ok());
  Config config = IdleConfig("main");
  config.mutable_image()->set_image("warren.test/no:1");
  config.clear_command();
  config.clear_args();
  const absl::Status status = Create(config);
  EXPECT_CODE(status, kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr("config.command"));
  cri::RemoveImageRequest remove;
  remove.mutable_image()->set_image("warren.test/no:1");
  EXPECT_TRUE(client().Call<cri::RemoveImageResponse>(remove).ok());
}

TEST_F(ContainerRequestsTest, AnotherPodsConfigurationIsRefused) {
  for (const auto& change :
       std::vector<std::function<void(cri::PodSandboxMetadata*)>>{
           [](auto* m) { m->set_name("other"); },
           [](auto* m) { m->set_namespace_("other"); },
           [](auto* m) { m->set_uid("other"); },
           [](auto* m) { m->clear_name(); }}) {
    cri::PodSandboxConfig other = pod_;
    change(other.mutable_metadata());
    const absl::Status status =
        client().CreateContainer(pod_id_, IdleConfig("main"), other).status();
    EXPECT_CODE(status, kInvalidArgument);
    EXPECT_THAT(std::string(status.message()),
                testing::HasSubstr("sandbox_config.metadata"));
  }
}

TEST_F(ContainerRequestsTest, SettingsThatWouldBeLostAreRefused) {
  const std::vector<std::function<void(Config*)>> cases = {
      [](Config* c) {
        auto* profile = Security(c)->mutable_seccomp();
        profile->set_profile_type(cri::SecurityProfile::Localhost);
        profile->set_localhost_ref("/etc/profile.json");
      },
      [](Config* c) {
        auto* profile = Security(c)->mutable_apparmor();
        profile->set_profile_type(cri::SecurityProfile::Localhost);
        profile->set_localhost_ref("strict");
      },
      [](Config* c) { Security(c)->set_privileged(true); }};
  for (const auto& change : cases) {
    Config config = IdleConfig("lost");
    change(&config);
    const absl::Status status = Create(config);
    EXPECT_THAT(status.code(),
                testing::AnyOf(absl::StatusCode::kUnimplemented,
                               absl::StatusCode::kFailedPrecondition,
                               absl::StatusCode::kInvalidArgument))
        << status;
  }
}

TEST_F(ContainerRequestsTest, UnknownAndEmptyIds) {
  const Config config = IdleConfig("main");
  EXPECT_CODE(client().CreateContainer("", config, pod_).status(),
              kInvalidArgument);
  EXPECT_CODE(
      client().CreateContainer(std::string(64, 'f'), config, pod_).status(),
      kNotFound);
  EXPECT_CODE(client().StartContainer(""), kInvalidArgument);
  EXPECT_CODE(client().StartContainer(std::string(64, 'f')), kNotFound);
  EXPECT_CODE(client().ContainerStatus("").status(), kInvalidArgument);
  EXPECT_CODE(client().ContainerStatus(std::string(64, 'f')).status(),
              kNotFound);
  EXPECT_CODE(client().StopContainer("", 1), kInvalidArgument);
  EXPECT_TRUE(client().StopContainer(std::string(64, 'f'), 1).ok());
  EXPECT_CODE(client().ExecSync("", {"true"}).status(), kInvalidArgument);
  EXPECT_CODE(client().ExecSync(std::string(64, 'f'), {"true"}).status(),
              kNotFound);
}

TEST_F(ContainerRequestsTest, AnUnknownUserNameFails) {
  Config config = IdleConfig("nobody-knows");
  Security(&config)->set_run_as_username("no-such-user");
  EXPECT_FALSE(Create(config).ok());
}

TEST_F(ContainerRequestsTest, ATargetOfAnotherPodIsRefused) {
  const std::string other = RunAlone(IdleConfig("other"));
  Config config = IdleConfig("main");
  NamespaceOptions(&config)->set_pid(cri::TARGET);
  NamespaceOptions(&config)->set_target_id(other);
  EXPECT_FALSE(Create(config).ok());
}

TEST_F(ContainerRequestsTest, AMountTargetCannotLeaveTheRoot) {
  Config config = IdleConfig("climber");
  AddMount(&config, daemon().directory(), "/../../../../escape", true);
  const auto id = client().CreateContainer(pod_id_, config, pod_);
  if (id.ok()) {
    client().StartContainer(*id).IgnoreError();
  }
  EXPECT_FALSE(HostFileExists("/escape"));
}

}  // namespace
}  // namespace warren::test
