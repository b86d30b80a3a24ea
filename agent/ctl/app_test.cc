// warrenctl as a whole against a fake daemon on a real socket.
#include "agent/ctl/app.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "agent/ctl/fake_node.h"

namespace warren::agent::ctl {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

void AddPod(FakeNode* node, const std::string& id, const std::string& name,
            cri::PodSandboxState state = cri::SANDBOX_READY) {
  cri::PodSandbox* pod = node->runtime.pods.add_items();
  pod->set_id(id);
  pod->mutable_metadata()->set_name(name);
  pod->mutable_metadata()->set_namespace_("default");
  pod->set_state(state);
  pod->set_created_at(absl::ToUnixNanos(absl::Now() - absl::Hours(3)));
}

void AddContainer(FakeNode* node, const std::string& id,
                  const std::string& pod_id, const std::string& name) {
  cri::Container* container = node->runtime.containers.add_containers();
  container->set_id(id);
  container->set_pod_sandbox_id(pod_id);
  container->mutable_metadata()->set_name(name);
  container->set_state(cri::CONTAINER_RUNNING);
}

TEST(CtlApp, VersionShowsBothSides) {
  FakeNode node;
  EXPECT_EQ(node.Ctl({"version"}), kExitOk);
  EXPECT_THAT(node.out(),
              AllOf(HasSubstr("warrenctl"), HasSubstr("warren     1.2.3")));
}

TEST(CtlApp, JsonIsParsable) {
  FakeNode node;
  EXPECT_EQ(node.Ctl({"version", "--json"}), kExitOk);
  EXPECT_EQ(nlohmann::json::parse(node.out())["runtimeVersion"], "1.2.3");
}

TEST(CtlApp, StatusFailsWhenNotReady) {
  FakeNode node;
  EXPECT_EQ(node.Ctl({"status"}), kExitFailed);
  EXPECT_THAT(node.out(), HasSubstr("NetworkReady"));
  EXPECT_THAT(node.out(), HasSubstr("no bridge"));
}

TEST(CtlApp, ReconcileAsksTheDaemon) {
  FakeNode node;
  EXPECT_EQ(node.Ctl({"reconcile"}), kExitOk);
  EXPECT_EQ(node.node_service.reconciles, 1);
}

TEST(CtlApp, UnreachableDaemonIsSaidPlainly) {
  std::ostringstream out;
  std::ostringstream err;
  Output output;
  output.out = &out;
  output.err = &err;
  EXPECT_EQ(RunWarrenctl({"--socket", "/nowhere/d.sock", "pods"}, output),
            kExitUnreachable);
  EXPECT_THAT(err.str(), HasSubstr("does not answer on /nowhere/d.sock"));
}

TEST(CtlApp, UsageErrors) {
  FakeNode node;
  EXPECT_EQ(node.Ctl({}), kExitUsage);
  EXPECT_EQ(node.Ctl({"dance"}), kExitUsage);
  EXPECT_EQ(node.Ctl({"run"}), kExitUsage);
  EXPECT_EQ(node.Ctl({"stop"}), kExitUsage);
  EXPECT_EQ(node.Ctl({"exec", "web"}), kExitUsage);
  EXPECT_EQ(node.Ctl({"--help"}), kExitOk);
}

TEST(CtlApp, PodsTable) {
  FakeNode node;
  AddPod(&node, "0123456789abcdef", "web");
  EXPECT_EQ(node.Ctl({"pods"}), kExitOk);
  EXPECT_THAT(node.out(), HasSubstr("0123456789ab  web"));
  EXPECT_THAT(node.out(), HasSubstr("READY"));
  EXPECT_THAT(node.out(), HasSubstr("3h"));
}

TEST(CtlApp, RunMakesPodAndContainer) {
  FakeNode node;
  EXPECT_EQ(
      node.Ctl({"run", "--name", "web", "--userns", "65536", "--time-offset",
                "boottime=60", "--env", "A=b", "--", "httpd", "-f"}),
      kExitOk);
  EXPECT_EQ(node.out(), "pod pod1\ncontainer id-web\n");
  const cri::PodSandboxConfig& pod = node.runtime.last_run.config();
  EXPECT_EQ(pod.hostname(), "web");
  EXPECT_EQ(pod.annotations().at("warren.dev/time-offset.boottime"), "60");
  const auto& options = pod.linux().security_context().namespace_options();
  EXPECT_EQ(options.pid(), cri::CONTAINER);
  EXPECT_EQ(options.userns_options().uids(0).host_id(), 65536u);
  const cri::ContainerConfig& container = node.runtime.last_create.config();
  EXPECT_THAT(container.command(), ElementsAre("httpd", "-f"));
  EXPECT_EQ(container.envs(0).key(), "A");
}

TEST(CtlApp, RunIsSafeUnlessAskedOtherwise) {
  using cri::SecurityProfile;
  FakeNode node;
  const auto last = [&]() -> const cri::LinuxContainerConfig& {
    return node.runtime.last_create.config().linux();
  };
  ASSERT_EQ(node.Ctl({"run", "--name", "a", "--", "sh"}), kExitOk);
  EXPECT_EQ(last().security_context().seccomp().profile_type(),
            SecurityProfile::RuntimeDefault);
  EXPECT_TRUE(last().security_context().no_new_privs());
  EXPECT_GT(last().security_context().masked_paths_size(), 0);
  EXPECT_EQ(last().resources().unified().at("pids.max"), "1024");

  ASSERT_EQ(
      node.Ctl({"run", "--name", "a", "--seccomp", "unconfined", "--pids-limit",
                "0", "--allow-new-privileges", "--", "sh"}),
      kExitOk);
  ASSERT_TRUE(last().security_context().has_seccomp());
  EXPECT_EQ(last().security_context().seccomp().profile_type(),
            SecurityProfile::Unconfined);
  EXPECT_FALSE(last().security_context().no_new_privs());
  EXPECT_TRUE(last().resources().unified().empty());

  ASSERT_EQ(
      node.Ctl({"run", "--name", "a", "--seccomp", "/p.json", "--", "sh"}),
      kExitOk);
  EXPECT_EQ(last().security_context().seccomp().localhost_ref(), "/p.json");

  ASSERT_EQ(node.Ctl({"run", "--name", "a", "--privileged", "--", "sh"}),
            kExitOk);
  EXPECT_FALSE(last().security_context().has_seccomp());
  EXPECT_FALSE(last().security_context().no_new_privs());

  EXPECT_NE(node.Ctl({"run", "--name", "a", "--seccomp", "off", "--", "sh"}),
            kExitOk);
  EXPECT_NE(node.Ctl({"run", "--name", "a", "--pids-limit", "-1", "--", "sh"}),
            kExitOk);
}

TEST(CtlApp, RunUndoesOnFailure) {
  FakeNode node;
  node.runtime.start_result = {grpc::StatusCode::INVALID_ARGUMENT,
                               "no such program"};
  EXPECT_EQ(node.Ctl({"run", "--name", "web", "--log-root", node.directory()}),
            kExitFailed);
  EXPECT_THAT(node.err(), HasSubstr("start container web: no such program"));
  EXPECT_THAT(node.out(), IsEmpty());
  EXPECT_THAT(node.runtime.calls,
              ElementsAre("RunPodSandbox", "CreateContainer web",
                          "StartContainer id-web", "StopPodSandbox pod1",
                          "RemovePodSandbox pod1"));
}

TEST(CtlApp, ExecPassesTheExitCodeOn) {
  FakeNode node;
  AddPod(&node, "aa", "web");
  AddContainer(&node, "c1", "aa", "main");
  node.runtime.exec.set_exit_code(7);
  node.runtime.exec.set_stdout("to out");
  node.runtime.exec.set_stderr("to err");
  EXPECT_EQ(node.Ctl({"exec", "web/main", "--", "ls", "-l"}), 7);
  EXPECT_EQ(node.out(), "to out");
  EXPECT_EQ(node.err(), "to err");
  EXPECT_THAT(node.runtime.calls, ElementsAre("ExecSync c1 ls -l"));
  EXPECT_EQ(node.Ctl({"exec", "nobody", "--", "ls"}), kExitExecFailed);
}

TEST(CtlApp, REL_11_AStopGivesAllContainersTheirGraceAtOnce) {
  FakeNode node;
  AddPod(&node, "aa", "web");
  for (const char* id : {"c1", "c2", "c3"}) AddContainer(&node, id, "aa", id);
  // Each waits for the others.
  node.runtime.stops_at_once = 3;
  EXPECT_EQ(node.Ctl({"stop", "web"}), kExitOk) << node.err();
  EXPECT_THAT(node.runtime.calls, ElementsAre("StopPodSandbox aa"));
}

TEST(CtlApp, RemoveWantsAStoppedPod) {
  FakeNode node;
  AddPod(&node, "aa", "web");
  EXPECT_EQ(node.Ctl({"rm", "web"}), kExitFailed);
  EXPECT_THAT(node.runtime.calls, IsEmpty());
  EXPECT_EQ(node.Ctl({"rm", "--force", "web"}), kExitOk);
  EXPECT_THAT(node.runtime.calls,
              ElementsAre("StopPodSandbox aa", "RemovePodSandbox aa"));
  EXPECT_EQ(node.Ctl({"rm", "other"}), kExitNotFound);
}

TEST(CtlApp, LogsSplitTheStreams) {
  FakeNode node;
  AddPod(&node, "aa", "web");
  AddContainer(&node, "c1", "aa", "main");
  node.runtime.log_path = node.directory() + "/0.log";
  std::ofstream(node.runtime.log_path)
      << "2026-01-02T03:04:05.678901234Z stdout F hello\n"
         "2026-01-02T03:04:06.678901234Z stderr F oh\n";
  EXPECT_EQ(node.Ctl({"logs", "web"}), kExitOk);
  EXPECT_EQ(node.out(), "hello\n");
  EXPECT_EQ(node.err(), "oh\n");
  EXPECT_EQ(node.Ctl({"logs", "-f", "web"}), kExitOk);  // it has ended
  EXPECT_EQ(node.out(), "hello\n");
  EXPECT_EQ(node.Ctl({"logs", "--json", "web"}), kExitOk);
  EXPECT_THAT(node.out(), HasSubstr(R"({"stream":"stderr","text":"oh\n"})"));
}

TEST(CtlApp, PullShowsLayersAndPrintsTheId) {
  FakeNode node;
  const std::string credentials = node.directory() + "/credentials";
  std::ofstream(credentials) << "kim:a:b\n";
  EXPECT_EQ(node.Ctl({"image", "pull", "--creds-file", credentials, "app:1"}),
            kExitOk);
  EXPECT_EQ(node.out(), "sha256:abc\n");
  EXPECT_EQ(node.err(),
            "0123456789ab  waiting    2.0 KiB\n"
            "0123456789ab  done       2.0 KiB\n");
  ASSERT_EQ(node.node_service.pulls.size(), 1u);
  EXPECT_EQ(node.node_service.pulls[0].reference(), "app:1");
  EXPECT_EQ(node.node_service.pulls[0].auth().username(), "kim");
  EXPECT_EQ(node.node_service.pulls[0].auth().password(), "a:b");
  node.node_service.refuse_pulls = true;
  EXPECT_EQ(node.Ctl({"image", "pull", "app:2"}), kExitNotFound);
  EXPECT_THAT(node.err(), HasSubstr("no such tag"));
}

TEST(CtlApp, RunPullsWhatIsMissing) {
  FakeNode node;
  EXPECT_EQ(node.Ctl({"run", "--name", "web", "--image", "app:1"}), kExitOk);
  EXPECT_TRUE(node.node_service.pulls.empty());
  node.images.missing = {"app:2"};
  EXPECT_EQ(node.Ctl({"run", "--name", "web", "--image", "app:2"}), kExitOk);
  ASSERT_EQ(node.node_service.pulls.size(), 1u);
  EXPECT_EQ(node.node_service.pulls[0].reference(), "app:2");
  node.node_service.refuse_pulls = true;
  node.runtime.calls.clear();
  EXPECT_EQ(node.Ctl({"run", "--name", "web", "--image", "app:2"}),
            kExitNotFound);
  EXPECT_TRUE(node.runtime.calls.empty()) << "no pod without its image";
}

TEST(CtlApp, ImportStreamsAFile) {
  FakeNode node;
  const std::string path = node.directory() + "/a.tar";
  const std::string content(3 * 1024 * 1024 + 17, 'x');
  std::ofstream(path) << content;
  EXPECT_EQ(node.Ctl({"image", "import", path, "--ref", "a:1"}), kExitOk);
  EXPECT_EQ(node.node_service.reference, "a:1");
  EXPECT_EQ(node.node_service.archive, content);
  EXPECT_LE(node.node_service.largest_chunk, 1u << 20);
  EXPECT_EQ(node.out(), "sha256:abc\n");
  EXPECT_EQ(node.err(), "");
  node.node_service.remarks = {"the link \"lib\" is hidden"};
  EXPECT_EQ(node.Ctl({"image", "import", path, "--ref", "a:1"}), kExitOk);
  EXPECT_EQ(node.out(), "sha256:abc\n");
  EXPECT_EQ(node.err(), "note: the link \"lib\" is hidden\n");
}

TEST(CtlApp, ImportShowsTheServersError) {
  FakeNode node;
  node.node_service.refuse_after = 1024;
  const std::string path = node.directory() + "/a.tar";
  std::ofstream(path) << std::string(8 * 1024 * 1024, 'x');
  EXPECT_EQ(node.Ctl({"image", "import", path, "--ref", "a:1"}), kExitFailed);
  EXPECT_THAT(node.err(), HasSubstr("digest does not match"));
  EXPECT_EQ(node.Ctl({"image", "import", "/nowhere", "--ref", "a:1"}),
            kExitFailed);
  EXPECT_THAT(node.err(),
              AllOf(HasSubstr("/nowhere"), Not(HasSubstr("does not answer"))));
}

}  // namespace
}  // namespace warren::agent::ctl
