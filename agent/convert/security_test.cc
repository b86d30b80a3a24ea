#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "agent/convert/convert.h"

// What of a container's security context depends on the node, its operator and
// the pod.
namespace warren::agent {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Case {
  cri::ContainerConfig config;
  cri::PodSandboxConfig pod;
  runtime::SandboxSpec sandbox;
  image::Image image;
  SecurityModules modules = {};
  NodePolicy policy = {};

  explicit Case(const std::string& text = "") {
    config.mutable_metadata()->set_name("app");
    if (!google::protobuf::TextFormat::MergeFromString(text, &config)) {
      ADD_FAILURE() << "bad test text: " << text;
    }
    image.config.entrypoint = {"/bin/app"};
  }
  absl::StatusOr<ConvertedContainer> Convert() const {
    ContainerInputs inputs = {std::string(64, 'c'), config, pod, sandbox,
                              image};
    inputs.modules = modules;
    inputs.policy = policy;
    return ConvertContainer(inputs);
  }
  std::string Error() const {
    return std::string(Convert().status().message());
  }
};

Case Security(const std::string& text) {
  return Case("linux { security_context { " + text + " } }");
}

TEST(ConvertSecurity, EXE_6_AmbientCapabilitiesNeedTheSwitch) {
  Case test = Security(
      "capabilities { drop_capabilities: 'ALL' "
      "add_ambient_capabilities: 'NET_BIND_SERVICE' }");
  EXPECT_TRUE(absl::IsUnimplemented(test.Convert().status()));
  EXPECT_THAT(test.Error(), AllOf(HasSubstr("add_ambient_capabilities: "),
                                  HasSubstr("security.ambient_capabilities")));
  test.policy.ambient_capabilities = true;
  const auto out = test.Convert();
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->spec.ambient_capabilities, uint64_t{1} << 10);
  EXPECT_EQ(out->spec.capabilities, uint64_t{1} << 10);
}

TEST(ConvertSecurity, EXE_8_LabelsOfTheContainerElseOfThePod) {
  Case test = Security("apparmor_profile: 'localhost/strict'");
  test.modules.apparmor = test.modules.selinux = true;
  test.modules.apparmor_profiles = {"strict"};
  test.pod.mutable_linux()
      ->mutable_security_context()
      ->mutable_selinux_options()
      ->set_level("s0:c1");
  auto out = test.Convert();
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->spec.apparmor_profile, "strict");
  EXPECT_EQ(out->spec.selinux_label, "system_u:system_r:container_t:s0:c1");
  auto* security = test.config.mutable_linux()->mutable_security_context();
  security->mutable_selinux_options()->set_type("own_t");
  out = test.Convert();
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->spec.selinux_label, "system_u:system_r:own_t:s0");
  EXPECT_EQ(out->spec.selinux_pod_level, "s0:c1");
  // A privileged one has no label, and needs no host that could apply it.
  security->set_privileged(true);
  test.pod.mutable_linux()->mutable_security_context()->set_privileged(true);
  test.modules.selinux = false;
  out = test.Convert();
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->spec.selinux_label, "");
  EXPECT_EQ(out->spec.apparmor_profile, "strict");
}

TEST(ConvertSecurity, NetworkAndIpcAreThePods) {
  using enum runtime::NamespaceMode;
  for (const char* name : {"network", "ipc"}) {
    const auto asked = [&](const char* mode, runtime::NamespaceMode pod) {
      Case test = Security(absl::StrCat("namespace_options { pid: CONTAINER ",
                                        name, ": ", mode, " }"));
      test.sandbox.network = test.sandbox.ipc = pod;
      return test.Error();
    };
    EXPECT_EQ(asked("POD", kPod), "");
    EXPECT_EQ(asked("POD", kHost), "") << "that of the pod";
    EXPECT_EQ(asked("NODE", kHost), "");
    const std::string field =
        absl::StrCat("config.linux.security_context.namespace_options.", name);
    EXPECT_THAT(asked("NODE", kPod), StartsWith(field));
    EXPECT_THAT(asked("CONTAINER", kPod), StartsWith(field));
    EXPECT_THAT(asked("TARGET", kHost), StartsWith(field));
  }
  EXPECT_THAT(
      Security("namespace_options { pid: CONTAINER target_id: 'abc' }").Error(),
      HasSubstr("namespace_options.target_id"));
  EXPECT_THAT(Case("image { runtime_handler: 'kata' }").Error(),
              StartsWith("config.image.runtime_handler: "));
  EXPECT_TRUE(Case("image { runtime_handler: 'warren' }").Convert().ok());
}

}  // namespace
}  // namespace warren::agent
