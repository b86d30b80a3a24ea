#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "agent/convert/convert.h"
#include "agent/store/record_convert.h"

namespace warren::agent {
namespace {

using runtime::SeccompChoice;
using runtime::SeccompMode;
using ::testing::StartsWith;

constexpr char kField[] = "config.linux.security_context.seccomp";

// Fields of a security context -> what they mean, or the field at fault.
struct Row {
  const char* text;
  SeccompChoice choice;
  const char* bad_field = nullptr;
};
const Row kRows[] = {
    {"", {}},
    {"seccomp { }", {SeccompMode::kRuntimeDefault, ""}},
    {"seccomp { profile_type: RuntimeDefault }",
     {SeccompMode::kRuntimeDefault, ""}},
    {"seccomp { profile_type: Unconfined }", {}},
    {"seccomp { profile_type: Localhost localhost_ref: '/a/p.json' }",
     {SeccompMode::kLocalhost, "/a/p.json"}},
    // The old field, and the new one's word over it.
    {"seccomp_profile_path: 'unconfined'", {}},
    {"seccomp_profile_path: 'runtime/default'",
     {SeccompMode::kRuntimeDefault, ""}},
    {"seccomp_profile_path: 'docker/default'",
     {SeccompMode::kRuntimeDefault, ""}},
    {"seccomp_profile_path: 'localhost//a/p.json'",
     {SeccompMode::kLocalhost, "/a/p.json"}},
    {"seccomp { } seccomp_profile_path: 'unconfined'",
     {SeccompMode::kRuntimeDefault, ""}},
    {"seccomp { profile_type: Unconfined } seccomp_profile_path: 'odd'", {}},
    // Never unconfined by mistake.
    {"seccomp { profile_type: Localhost }", {}, ".localhost_ref: "},
    {"seccomp { profile_type: Localhost localhost_ref: 'a' }",
     {},
     ".localhost_ref: "},
    {"seccomp { profile_type: Localhost localhost_ref: '/a/../b' }",
     {},
     ".localhost_ref: "},
    {"seccomp { localhost_ref: '/a' }", {}, ".localhost_ref: "},
    {"seccomp { profile_type: Unconfined localhost_ref: '/a' }",
     {},
     ".localhost_ref: "},
    {"seccomp_profile_path: 'odd'", {}, "_profile_path: "},
    {"seccomp_profile_path: 'localhost/'", {}, "_profile_path: "},
    {"seccomp_profile_path: 'localhost/a'", {}, "_profile_path: "},
    {"seccomp_profile_path: 'Unconfined'", {}, "_profile_path: "},
};

cri::ContainerConfig Container(const std::string& text) {
  cri::ContainerConfig config;
  config.mutable_metadata()->set_name("app");
  EXPECT_TRUE(google::protobuf::TextFormat::MergeFromString(
      "linux { security_context { " + text + " } }", &config));
  return config;
}

cri::PodSandboxConfig Pod(const std::string& text) {
  cri::PodSandboxConfig config;
  EXPECT_TRUE(google::protobuf::TextFormat::MergeFromString(
      "metadata { name: 'n' namespace: 's' uid: 'u' } "
      "linux { security_context { " +
          text + " } }",
      &config));
  return config;
}

image::Image Image() {
  image::Image image;
  image.config.entrypoint = {"/app"};
  return image;
}

TEST(ConvertSeccomp, OfContainers) {
  const std::string id(64, 'c');
  const image::Image image = Image();
  for (const Row& row : kRows) {
    const auto out = ConvertContainer(
        {id, Container(row.text), Pod(""), runtime::SandboxSpec(), image});
    if (row.bad_field == nullptr) {
      ASSERT_TRUE(out.ok()) << row.text << ": " << out.status();
      EXPECT_EQ(out->spec.seccomp, row.choice) << row.text;
      continue;
    }
    EXPECT_TRUE(absl::IsInvalidArgument(out.status())) << row.text;
    EXPECT_THAT(std::string(out.status().message()),
                StartsWith(kField + std::string(row.bad_field)));
  }
  cri::ContainerConfig unknown = Container("");
  unknown.mutable_linux()
      ->mutable_security_context()
      ->mutable_seccomp()
      ->set_profile_type(static_cast<cri::SecurityProfile::ProfileType>(7));
  EXPECT_THAT(std::string(ConvertContainer({id, unknown, Pod(""),
                                            runtime::SandboxSpec(), image})
                              .status()
                              .message()),
              StartsWith(kField + std::string(".profile_type: ")));
}

TEST(ConvertSeccomp, OfSandboxes) {
  const std::string id(64, 's');
  for (const Row& row : kRows) {
    const auto spec = ConvertSandbox(id, Pod(row.text), HostFacts());
    if (row.bad_field == nullptr) {
      ASSERT_TRUE(spec.ok()) << row.text << ": " << spec.status();
      EXPECT_EQ(spec->seccomp, row.choice) << row.text;
      continue;
    }
    EXPECT_TRUE(absl::IsInvalidArgument(spec.status())) << row.text;
    EXPECT_THAT(std::string(spec.status().message()),
                StartsWith(kField + std::string(row.bad_field)));
  }
  const auto privileged =
      ConvertSandbox(id, Pod("privileged: true seccomp { }"), HostFacts());
  ASSERT_TRUE(privileged.ok()) << privileged.status();
  EXPECT_EQ(privileged->seccomp, SeccompChoice{});
}

TEST(ConvertSeccomp, PrivilegedIsUnconfinedAndStillChecked) {
  const std::string id(64, 'c');
  const image::Image image = Image();
  const cri::PodSandboxConfig pod = Pod("privileged: true");
  const auto convert = [&](const char* text) {
    return ConvertContainer(
        {id, Container(text), pod, runtime::SandboxSpec(), image});
  };
  const auto out = convert(
      "privileged: true "
      "seccomp { profile_type: Localhost localhost_ref: '/a' }");
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->spec.seccomp, SeccompChoice{});
  EXPECT_FALSE(
      convert("privileged: true seccomp { profile_type: Localhost }").ok());
}

TEST(ConvertSeccomp, ARecordGivesTheSame) {
  ::warren::record::v1::ContainerRecord container;
  container.set_id(std::string(64, 'c'));
  *container.mutable_config() = Container(
      "seccomp { profile_type: Localhost localhost_ref: '/gone/p.json' }");
  ::warren::record::v1::PodSandboxRecord pod;
  *pod.mutable_config() = Pod("seccomp { }");
  const auto spec = RestoreSpec(container, pod, runtime::SandboxSpec());
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->seccomp,
            (SeccompChoice{SeccompMode::kLocalhost, "/gone/p.json"}));
  const auto sandbox = RestoreSpec(pod, HostFacts());
  ASSERT_TRUE(sandbox.ok()) << sandbox.status();
  EXPECT_EQ(sandbox->seccomp.mode, SeccompMode::kRuntimeDefault);
}

}  // namespace
}  // namespace warren::agent
