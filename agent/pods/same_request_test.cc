#include "agent/pods/same_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace warren::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

void AddEnv(cri::ContainerConfig* config, const std::string& key,
            const std::string& value) {
  cri::KeyValue* env = config->add_envs();
  env->set_key(key);
  env->set_value(value);
}

void AddTerminationLog(cri::ContainerConfig* config, const std::string& file) {
  cri::Mount* mount = config->add_mounts();
  mount->set_container_path("/dev/termination-log");
  mount->set_host_path("/var/lib/kubelet/pods/u/containers/app/" + file);
}

cri::LinuxContainerSecurityContext* Security(cri::ContainerConfig* config) {
  return config->mutable_linux()->mutable_security_context();
}

cri::ContainerConfig Container() {
  cri::ContainerConfig config;
  config.mutable_image()->set_image("app:1");
  config.add_command("/bin/app");
  config.add_args("serve");
  AddEnv(&config, "A", "1");
  AddEnv(&config, "B", "2");
  AddTerminationLog(&config, "5f3a");
  Security(&config)->mutable_run_as_user()->set_value(0);
  Security(&config)->add_supplemental_groups(7);
  Security(&config)->add_supplemental_groups(8);
  Security(&config)->mutable_capabilities()->add_add_capabilities("CHOWN");
  Security(&config)->mutable_capabilities()->add_add_capabilities("KILL");
  (*config.mutable_annotations())["io.kubernetes.container.hash"] = "c0ffee";
  return config;
}

TEST(SameRequestTest, REL_6_AKubeletsRetryIsTheSameRequest) {
  cri::ContainerConfig again = Container();
  again.clear_mounts();
  AddTerminationLog(&again, "91bb");
  again.mutable_envs()->SwapElements(0, 1);
  Security(&again)->mutable_supplemental_groups()->SwapElements(0, 1);
  Security(&again)
      ->mutable_capabilities()
      ->mutable_add_capabilities()
      ->SwapElements(0, 1);
  (*again.mutable_labels())["seen"] = "later";
  (*again.mutable_annotations())["io.kubernetes.container.restartCount"] = "1";
  EXPECT_THAT(DifferingFields(Container(), again), IsEmpty());
}

TEST(SameRequestTest, REL_6_EachFieldOfAContainerThatDiffersIsNamed) {
  const struct {
    const char* field;
    std::function<void(cri::ContainerConfig*)> change;
  } cases[] = {
      {"config.image.image",
       [](auto* c) { c->mutable_image()->set_image(""); }},
      {"config.command", [](auto* c) { c->add_command("x"); }},
      {"config.args", [](auto* c) { c->clear_args(); }},
      {"config.envs", [](auto* c) { c->mutable_envs(0)->set_value("3"); }},
      {"config.envs", [](auto* c) { AddEnv(c, "C", ""); }},
      {"config.linux.security_context.run_as_user",
       [](auto* c) { Security(c)->clear_run_as_user(); }},
      {"config.linux.security_context.run_as_group",
       [](auto* c) { Security(c)->mutable_run_as_group()->set_value(0); }},
      {"config.linux.security_context.supplemental_groups",
       [](auto* c) { Security(c)->add_supplemental_groups(9); }},
      {"config.linux.security_context.supplemental_groups_policy",
       [](auto* c) {
         Security(c)->set_supplemental_groups_policy(cri::Strict);
       }},
      {"config.linux.security_context.run_as_username",
       [](auto* c) { Security(c)->set_run_as_username("web"); }},
      {"config.linux.security_context.capabilities",
       [](auto* c) {
         Security(c)->mutable_capabilities()->add_drop_capabilities("ALL");
       }},
      {"config.linux.security_context.privileged",
       [](auto* c) { Security(c)->set_privileged(true); }},
      {"config.annotations[\"io.kubernetes.container.hash\"]",
       [](auto* c) { c->clear_annotations(); }},
  };
  for (const auto& one : cases) {
    cri::ContainerConfig again = Container();
    one.change(&again);
    EXPECT_THAT(DifferingFields(Container(), again), ElementsAre(one.field));
  }
}

cri::PodSandboxConfig Pod() {
  cri::PodSandboxConfig config;
  config.set_hostname("web-0");
  config.set_log_directory("/var/log/pods/a");
  (*config.mutable_labels())["app"] = "web";
  (*config.mutable_linux()->mutable_sysctls())["kernel.shm_rmid_forced"] = "1";
  return config;
}

TEST(SameRequestTest, REL_6_WhatIsComputedAnewOrEditedDoesNotCountForAPod) {
  cri::PodSandboxConfig again = Pod();
  again.set_log_directory("/var/log/pods/b");
  again.mutable_dns_config()->add_servers("10.96.0.10");
  (*again.mutable_labels())["app"] = "web-2";
  (*again.mutable_annotations())["note"] = "edited";
  again.mutable_linux()->mutable_resources()->set_cpu_shares(2);
  again.mutable_linux()->mutable_security_context();  // says nothing
  EXPECT_THAT(DifferingFields(Pod(), again), IsEmpty());
}

TEST(SameRequestTest, REL_6_EachFieldOfAPodThatDiffersIsNamed) {
  const struct {
    const char* field;
    std::function<void(cri::PodSandboxConfig*)> change;
  } cases[] = {
      {"config.hostname", [](auto* c) { c->clear_hostname(); }},
      {"config.port_mappings",
       [](auto* c) { c->add_port_mappings()->set_container_port(80); }},
      {"config.annotations[\"warren.dev/*\"]",
       [](auto* c) {
         (*c->mutable_annotations())["warren.dev/time-offset.boottime"] = "1";
       }},
      {"config.linux.cgroup_parent",
       [](auto* c) { c->mutable_linux()->set_cgroup_parent("/x"); }},
      {"config.linux.sysctls",
       [](auto* c) { c->mutable_linux()->clear_sysctls(); }},
      {"config.linux.security_context",
       [](auto* c) {
         c->mutable_linux()
             ->mutable_security_context()
             ->mutable_namespace_options()
             ->set_network(cri::NODE);
       }},
  };
  for (const auto& one : cases) {
    cri::PodSandboxConfig again = Pod();
    one.change(&again);
    EXPECT_THAT(DifferingFields(Pod(), again), ElementsAre(one.field));
  }
}

TEST(SameRequestTest, TheErrorNamesTheFields) {
  EXPECT_TRUE(CheckSame("the name \"a\"", {}).ok());
  const absl::Status status = CheckSame("the name \"a\"", {"x", "y"});
  EXPECT_TRUE(absl::IsAlreadyExists(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("the name \"a\" is taken, and the request differs in "
                        "x, y"));
}

}  // namespace
}  // namespace warren::agent
