#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <csignal>

#include "agent/convert/convert.h"
#include "agent/cri/capability_names.h"

namespace warren::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const std::string kId(64, 'c');

// One conversion; tests change what they are about.
struct Case {
  cri::ContainerConfig config;
  cri::PodSandboxConfig pod;
  runtime::SandboxSpec sandbox;
  image::Image image;

  explicit Case(const std::string& text = "") {
    config.mutable_metadata()->set_name("app");
    if (!google::protobuf::TextFormat::MergeFromString(text, &config)) {
      ADD_FAILURE() << "bad test text: " << text;
    }
    sandbox.hostname = "web-0";
    image.config.entrypoint = {"/bin/app"};
    image.layer_dirs = {"/l1", "/l2"};
  }
  absl::StatusOr<ConvertedContainer> Convert() const {
    return ConvertContainer({kId, config, pod, sandbox, image});
  }
  std::string Error() const {
    return std::string(Convert().status().message());
  }
};

Case Security(const std::string& text) {
  return Case("linux { security_context { " + text + " } }");
}

TEST(ConvertContainer, PlainContainer) {
  const auto out = Case().Convert();
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->spec.id, kId);
  EXPECT_THAT(out->spec.args, ElementsAre("/bin/app"));
  EXPECT_THAT(out->spec.layer_dirs, ElementsAre("/l1", "/l2"));
  EXPECT_EQ(out->spec.cwd, "/");
  EXPECT_EQ(out->spec.capabilities, DefaultCapabilities());
  EXPECT_FALSE(out->spec.resources.oom_score_adj.has_value());
  EXPECT_EQ(out->stop_signal, SIGTERM);
  EXPECT_EQ(out->spec.log_path, "");
  EXPECT_THAT(Case("metadata { name: '' }").Error(),
              StartsWith("config.metadata.name: "));
}

TEST(ConvertContainer, WorkingDirectory) {
  EXPECT_EQ(Case("working_dir: '/a/b'").Convert()->spec.cwd, "/a/b");
  EXPECT_THAT(Case("working_dir: 'a'").Error(),
              StartsWith("config.working_dir: "));
  Case test;
  test.image.config.working_dir = "srv";
  EXPECT_EQ(test.Convert()->spec.cwd, "/srv");
  test.image.config.working_dir = "/../etc";
  EXPECT_THAT(test.Error(), StartsWith("working directory of the image: "));
}

TEST(ConvertContainer, Users) {
  const auto user = Security(
                        "run_as_user { value: 1000 } "
                        "run_as_group { value: 2000 } "
                        "supplemental_groups: 1234 "
                        "supplemental_groups_policy: Strict")
                        .Convert();
  ASSERT_TRUE(user.ok()) << user.status();
  EXPECT_EQ(user->spec.user.uid, 1000);
  EXPECT_EQ(user->spec.user.gid, 2000);
  EXPECT_THAT(user->spec.user.supplemental_groups, ElementsAre(1234));
  EXPECT_TRUE(user->spec.user.strict_groups);
  Case image;
  image.image.config.user = "app:grp";
  EXPECT_EQ(image.Convert()->spec.user.image_user, "app:grp");
  EXPECT_FALSE(image.Convert()->spec.user.uid.has_value());
  EXPECT_TRUE(Security("run_as_username: 'www' run_as_group { value: 1 }")
                  .Convert()
                  .ok());
  const char* bad[] = {"run_as_group { value: 1 }",
                       "run_as_user { value: 2147483648 }",
                       "run_as_user { value: -1 }", "supplemental_groups: -1",
                       "run_as_username: 'a\\nb'"};
  for (const char* text : bad) {
    EXPECT_THAT(Security(text).Error(),
                StartsWith("config.linux.security_context."))
        << text;
  }
  Case policy = Security("");
  policy.config.mutable_linux()
      ->mutable_security_context()
      ->set_supplemental_groups_policy(
          static_cast<cri::SupplementalGroupsPolicy>(9));
  EXPECT_THAT(policy.Error(), HasSubstr("supplemental_groups_policy"));
}

TEST(ConvertContainer, Privileged) {
  Case test = Security(
      "privileged: true masked_paths: '/proc/kcore' "
      "readonly_paths: '/proc/sys' no_new_privs: true");
  EXPECT_THAT(test.Error(), HasSubstr("privileged"));
  test.pod.mutable_linux()->mutable_security_context()->set_privileged(true);
  const auto out = test.Convert();
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_TRUE(out->spec.privileged);
  EXPECT_EQ(out->spec.capabilities, AllCapabilities());
  EXPECT_THAT(out->spec.masked_paths, IsEmpty());
  EXPECT_THAT(out->spec.readonly_paths, IsEmpty());
  EXPECT_TRUE(out->spec.no_new_privs);
}

TEST(ConvertContainer, PidModes) {
  using enum runtime::NamespaceMode;
  const auto pid = [](runtime::NamespaceMode pod, const std::string& text) {
    Case test = Security(text);
    test.sandbox.pid = pod;
    return test.Convert();
  };
  EXPECT_EQ(pid(kPod, "")->spec.pid, kPod);
  EXPECT_EQ(pid(kContainer, "")->spec.pid, kContainer);
  EXPECT_EQ(pid(kHost, "")->spec.pid, kHost);
  EXPECT_EQ(pid(kPod, "namespace_options { pid: CONTAINER }")->spec.pid,
            kContainer);
  EXPECT_EQ(pid(kPod, "namespace_options { pid: POD }")->spec.pid, kPod);
  EXPECT_EQ(pid(kContainer, "namespace_options { pid: NODE }")->spec.pid,
            kHost);
  EXPECT_FALSE(pid(kContainer, "namespace_options { pid: POD }").ok());
  const auto target =
      pid(kContainer, "namespace_options { pid: TARGET target_id: 'abc' }");
  EXPECT_EQ(target->spec.pid, kTarget);
  EXPECT_EQ(target->spec.pid_target, "abc");
  EXPECT_FALSE(pid(kContainer, "namespace_options { pid: TARGET }").ok());
  EXPECT_FALSE(
      pid(kContainer, "namespace_options { pid: TARGET target_id: '../x' }")
          .ok());
}

TEST(ConvertContainer, UserNamespaceEqualsThePods) {
  const std::string own =
      "namespace_options { pid: CONTAINER userns_options { mode: POD "
      "uids { host_id: 65536 length: 65536 } "
      "gids { host_id: 65536 length: 65536 } } }";
  Case same = Security(own);
  same.sandbox.uid_mappings = same.sandbox.gid_mappings = {{0, 65536, 65536}};
  EXPECT_TRUE(same.Convert().ok()) << same.Error();
  same.sandbox.gid_mappings = {{0, 131072, 65536}};
  EXPECT_THAT(same.Error(), HasSubstr("userns_options"));
  EXPECT_THAT(Security(own).Error(), HasSubstr("userns_options"));
  // Who says nothing gets what a pod that said nothing was granted, and no
  // other.
  Case absent = Case();
  absent.sandbox.uid_mappings =
      absent.sandbox.gid_mappings = {{0, 65536, 65536}};
  EXPECT_TRUE(absent.Convert().ok()) << absent.Error();
  absent.pod.mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->mutable_userns_options();
  EXPECT_THAT(absent.Error(), HasSubstr("userns_options"));
  Case host = Security(
      "namespace_options { pid: CONTAINER userns_options { mode: NODE } }");
  host.sandbox.uid_mappings = host.sandbox.gid_mappings = {{0, 65536, 65536}};
  EXPECT_THAT(host.Error(), HasSubstr("userns_options"));
  EXPECT_TRUE(Security("namespace_options { pid: CONTAINER userns_options { "
                       "mode: NODE } }")
                  .Convert()
                  .ok());
  Case node = Security(
      "namespace_options { pid: NODE userns_options { mode: "
      "POD uids { host_id: 1 length: 2 } "
      "gids { host_id: 1 length: 2 } } }");
  node.sandbox.uid_mappings = node.sandbox.gid_mappings = {{0, 1, 2}};
  EXPECT_THAT(node.Error(), HasSubstr("namespace_options.pid"));
}

TEST(ConvertContainer, WhatIsNotBuiltIsRefusedByName) {
  using enum absl::StatusCode;
  const struct {
    const char* text;
    absl::StatusCode code;
    const char* field;
  } cases[] = {
      {"linux { security_context { apparmor { } } }", kFailedPrecondition,
       "security_context.apparmor"},
      {"linux { security_context { apparmor_profile: 'runtime/default' } }",
       kFailedPrecondition, "apparmor_profile"},
      {"linux { security_context { apparmor_profile: 'runtime/default' "
       "apparmor { profile_type: Unconfined } } }",
       kOk, ""},
      {"linux { security_context { selinux_options { type: 't' } } }",
       kFailedPrecondition, "selinux_options"},
  };
  for (const auto& c : cases) {
    const Case test(c.text);
    EXPECT_EQ(test.Convert().status().code(), c.code) << c.text << test.Error();
    EXPECT_THAT(test.Error(), HasSubstr(c.field));
  }
}

TEST(ConvertContainer, Resources) {
  const auto out =
      Case(
          "linux { resources { cpu_shares: 1 cpu_quota: 50000 "
          "cpu_period: 100000 memory_limit_in_bytes: 1048576 "
          "cpuset_cpus: '0-1,3' cpuset_mems: '0,2' oom_score_adj: -500 "
          "hugepage_limits { page_size: '2MB' limit: 0 } "
          "unified { key: 'hugetlb.2MB.max' value: '0' } "
          "unified { key: 'memory.high' value: 'max' } } }")
          .Convert();
  ASSERT_TRUE(out.ok()) << out.status();
  const runtime::Resources& r = out->spec.resources;
  EXPECT_EQ(r.cpu_shares, 2);
  EXPECT_EQ(r.cpu_quota_us, 50000);
  EXPECT_EQ(r.memory_limit_bytes, 1048576);
  EXPECT_EQ(r.cpuset_mems, "0,2");
  EXPECT_EQ(r.oom_score_adj, -500);
  EXPECT_EQ(out->spec.oom_score_adj, -500);
  EXPECT_EQ(r.unified.at("memory.high"), "max");
  EXPECT_EQ(r.unified.at("hugetlb.2MB.max"), "0");
  EXPECT_EQ(r.hugepage_limits.at("2MB"), 0u);
  for (const char* bad :
       {"cpu_shares: -1", "cpu_quota: 500", "cpu_quota: -2", "cpu_period: 10",
        "memory_limit_in_bytes: -2",
        "memory_limit_in_bytes: 10 memory_swap_limit_in_bytes: 5",
        "memory_swap_limit_in_bytes: 5",
        "memory_limit_in_bytes: -1 memory_swap_limit_in_bytes: 5",
        "memory_swap_limit_in_bytes: -2", "cpu_period: 1000001",
        "cpuset_cpus: 'a'", "cpuset_mems: '0;1'", "oom_score_adj: 1001",
        "hugepage_limits { page_size: '../2MB' }",
        "unified { key: '../memory.max' value: '1' }",
        "unified { key: 'memory.max/x' value: '1' }",
        "unified { key: 'cgroup.procs' value: '1' }",
        "unified { key: 'memory' value: '1' }",
        "unified { key: 'memory.max' value: '1\\000' }"}) {
    EXPECT_THAT(Case(absl::StrCat("linux { resources { ", bad, " } }")).Error(),
                StartsWith("config.linux.resources."))
        << bad;
  }
}

TEST(ConvertContainer, ALimitBelowWhatAnyProgramNeedsIsRefused) {
  const auto limit = [](const char* bytes) {
    return absl::StrCat("linux { resources { memory_limit_in_bytes: ", bytes,
                        " } }");
  };
  for (const char* good : {"-1", "0", "524288"}) {
    EXPECT_TRUE(Case(limit(good)).Convert().ok()) << good;
  }
  for (const char* bad : {"1", "4096", "524287"}) {
    const std::string error = Case(limit(bad)).Error();
    EXPECT_THAT(error,
                StartsWith("config.linux.resources.memory_limit_in_bytes: "));
    EXPECT_THAT(error, HasSubstr("524288"));
  }
}

TEST(ConvertContainer, StopSignals) {
  EXPECT_EQ(Case("stop_signal: SIGNAL_SIGQUIT").Convert()->stop_signal,
            SIGQUIT);
  Case unknown;
  unknown.config.set_stop_signal(static_cast<cri::Signal>(77));
  EXPECT_THAT(unknown.Error(), StartsWith("config.stop_signal: "));
  Case image;
  image.image.config.stop_signal = "SIGINT";
  EXPECT_EQ(image.Convert()->stop_signal, SIGINT);
  image.config.set_stop_signal(cri::SIGNAL_SIGUSR1);
  EXPECT_EQ(image.Convert()->stop_signal, SIGUSR1);
  image.config.clear_stop_signal();
  image.image.config.stop_signal = "SIGNONSENSE";
  EXPECT_TRUE(absl::IsFailedPrecondition(image.Convert().status()));
}

TEST(ConvertContainer, LOG_1_LogPaths) {
  Case test("log_path: 'app/0.log'");
  EXPECT_EQ(test.Convert()->spec.log_path, "");  // no directory: dropped
  test.pod.set_log_directory("/var/log/pods/p");
  EXPECT_EQ(test.Convert()->spec.log_path, "app/0.log");
  EXPECT_EQ(test.Convert()->spec.log_directory, "/var/log/pods/p");
  for (const char* bad : {"/abs", "../x", "a/../b", "a\nb"}) {
    test.config.set_log_path(bad);
    EXPECT_THAT(test.Error(), StartsWith("config.log_path: ")) << bad;
  }
}

}  // namespace
}  // namespace warren::agent
