#include "agent/ctl/pod_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::agent::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(PodFile, EveryKey) {
  const absl::StatusOr<PodPlan> plan = ParsePodFile(R"(
name: web
namespace: shop
hostname: web-a
userns: "131072:1000"
time_offset: {boottime: 86400, monotonic: -3.5}
network: pod
pid: pod
ipc: host
cgroup_parent: /kubepods/x
labels: {tier: front}
annotations: {a: b}
containers:
- name: server
  image: example/app:1
  command: [httpd, -f]
  args: ["-p", "80"]
  env: {PORT: "80"}
  mounts: ["/srv:/data:ro"]
  working_dir: /data
  user: "1000:100"
  readonly_rootfs: true
  privileged: false
  memory: 64Mi
  seccomp: /etc/profile.json
  pids_limit: 33
  allow_new_privileges: true
)");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->namespace_name, "shop");
  EXPECT_EQ(plan->userns->base, 131072u);
  EXPECT_EQ(plan->userns->length, 1000u);
  EXPECT_EQ(plan->annotations.at("warren.dev/time-offset.monotonic"), "-3.5");
  EXPECT_EQ(plan->pid, cri::POD);
  EXPECT_EQ(plan->ipc, cri::NODE);
  ASSERT_EQ(plan->containers.size(), 1u);
  const ContainerPlan& container = plan->containers[0];
  EXPECT_THAT(container.command, ElementsAre("httpd", "-f"));
  EXPECT_TRUE(container.mounts[0].readonly);
  EXPECT_EQ(container.memory_bytes, 64 << 20);
  const auto config = ToContainerConfig(*plan, container);
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->linux().security_context().run_as_user().value(), 1000);
  EXPECT_EQ(config->linux().security_context().run_as_group().value(), 100);
  EXPECT_EQ(config->linux().security_context().seccomp().localhost_ref(),
            "/etc/profile.json");
  EXPECT_EQ(config->linux().resources().unified().at("pids.max"), "33");
  EXPECT_FALSE(config->linux().security_context().no_new_privs());
}

TEST(PodFile, FaultsNameTheLine) {
  const auto message = [](const char* yaml) {
    return std::string(ParsePodFile(yaml).status().message());
  };
  EXPECT_THAT(message("name: a\nnmae: b\n"),
              HasSubstr("line 2: unknown key \"nmae\""));
  EXPECT_THAT(message("userns: many\n"), HasSubstr("userns"));
  EXPECT_THAT(message("containers:\n- command: httpd -f\n"),
              HasSubstr("want a list"));
  EXPECT_THAT(message("name: [a, b]\n"), HasSubstr("line 1"));
  EXPECT_THAT(message("name: {\n"), HasSubstr("line"));
  EXPECT_THAT(message("time_offset: {wall: 3}\n"), HasSubstr("boottime"));
  EXPECT_THAT(message("just words\n"), HasSubstr("key: value"));
}

TEST(PodPlan, CheckPlan) {
  PodPlan plan;
  plan.name = "a";
  EXPECT_FALSE(CheckPlan(plan).ok());
  plan.containers.resize(2);
  for (ContainerPlan& container : plan.containers) {
    container.name = "c";
    container.image = "i";
  }
  EXPECT_THAT(CheckPlan(plan).message(), HasSubstr("twice"));
  plan.containers[1].name = "d";
  EXPECT_TRUE(CheckPlan(plan).ok());
  plan.containers[1].pids_limit = -1;
  EXPECT_THAT(CheckPlan(plan).message(), HasSubstr("pids_limit"));
}

TEST(PodPlan, Userns) {
  EXPECT_EQ(ParseUserns("65536")->length, 65536u);
  for (const char* bad : {"", "x", "0", "1:0", "1:x", "4294967290:100"}) {
    EXPECT_FALSE(ParseUserns(bad).ok()) << bad;
  }
}

TEST(PodPlan, Bytes) {
  EXPECT_EQ(*ParseBytes("4096"), 4096);
  EXPECT_EQ(*ParseBytes("2k"), 2000);
  EXPECT_EQ(*ParseBytes("1Gi"), 1LL << 30);
  for (const char* bad : {"", "Mi", "1X", "-1", "99999999999Ti"}) {
    EXPECT_FALSE(ParseBytes(bad).ok()) << bad;
  }
}

TEST(PodPlan, Mounts) {
  EXPECT_FALSE(ParseMount("/a:/b")->readonly);
  for (const char* bad : {"/a", "/a:", ":/b", "/a:/b:rw", "/a:/b:ro:x"}) {
    EXPECT_FALSE(ParseMount(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace warren::agent::ctl
