// ExecSync.
#include <absl/time/clock.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/support/cri_test.h"
#include "tests/support/ledger_probes.h"

namespace warren::test {
namespace {

class ExecSyncTest : public CriTest {
 protected:
  // Is a process with `text` in its command line alive?
  static bool Alive(const std::string& text) {
    for (const std::string& line : Processes(0)) {
      if (line.find(text) != std::string::npos) return true;
    }
    return false;
  }
  static bool Gone(const std::string& text) {
    return Eventually([&] { return !Alive(text); });
  }
};

TEST_F(ExecSyncTest, OutputsAndExitCodesAreExact) {
  const std::string id = RunAlone(IdleConfig("main"));
  const auto reply = client().ExecSync(
      id, {"sh", "-c", "printf 'a\\0b'; printf err >&2; exit 3"});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->stdout(), std::string("a\0b", 3));
  EXPECT_EQ(reply->stderr(), "err");
  EXPECT_EQ(reply->exit_code(), 3);
  EXPECT_EQ(ExitCodeOf(id, {"sh", "-c", "kill -9 $$"}), 137);
  EXPECT_EQ(ExitCodeOf(id, {"true"}), 0);
  EXPECT_EQ(ExitCodeOf(id, {"false"}), 1);
}

TEST_F(ExecSyncTest, BytesThatAreNotTextArriveAsTheyAre) {
  const std::string id = RunAlone(IdleConfig("main"));
  const auto reply =
      client().ExecSync(id, {"sh", "-c", "printf '\\377\\376\\200'"});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->stdout(), "\xff\xfe\x80");
}

TEST_F(ExecSyncTest, ItRunsWithTheContainersIdentityAndEnvironment) {
  cri::ContainerConfig config = IdleConfig("main");
  auto* security = config.mutable_linux()->mutable_security_context();
  security->mutable_run_as_user()->set_value(1000);
  security->mutable_run_as_group()->set_value(1001);
  security->add_supplemental_groups(1002);
  config.set_working_dir("/tmp/here");
  auto* env = config.add_envs();
  env->set_key("MARK");
  env->set_value("yes");
  const std::string id = RunAlone(config);
  EXPECT_EQ(ShellOutput(id, "id -u; id -g; id -G; pwd; echo $MARK"),
            "1000\n1001\n1001 1002\n/tmp/here\nyes\n");
  for (const char* kind :
       {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"}) {
    const std::string link = std::string("readlink /proc/self/ns/") + kind;
    const std::string of_init = std::string("readlink /proc/1/ns/") + kind;
    EXPECT_EQ(ShellOutput(id, link), ShellOutput(id, of_init)) << kind;
  }
  const std::string caps = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/";
  EXPECT_EQ(ShellOutput(id, caps + "self/status"),
            ShellOutput(id, caps + "1/status"));
}

TEST_F(ExecSyncTest, ItHasNoInputAndNoTerminal) {
  const std::string id = RunAlone(IdleConfig("main"));
  EXPECT_EQ(ShellOutput(id, "cat; test -t 0 || echo none"), "none\n");
}

TEST_F(ExecSyncTest, BadRequestsAndStates) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const auto created =
      client().CreateContainer(pod_id, IdleConfig("main"), pod);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_CODE(client().ExecSync(*created, {"true"}).status(),
              kFailedPrecondition);
  EXPECT_TRUE(client().StartContainer(*created).ok());
  EXPECT_CODE(client().ExecSync(*created, {}).status(), kInvalidArgument);
  EXPECT_CODE(client().ExecSync(*created, {"true"}, -1).status(),
              kInvalidArgument);
  EXPECT_FALSE(client().ExecSync(*created, {"no-such-program"}).ok());
  EXPECT_TRUE(client().StopContainer(*created, 0).ok());
  EXPECT_CODE(client().ExecSync(*created, {"true"}).status(),
              kFailedPrecondition);
}

TEST_F(ExecSyncTest, ATimeOutIsDeadlineExceededAndEverythingOfItIsDead) {
  const std::string id = RunAlone(IdleConfig("main"));
  const absl::Time begin = absl::Now();
  const auto reply =
      client().ExecSync(id, {"sh", "-c", "setsid sleep 5151 & sleep 5151"}, 1);
  EXPECT_CODE(reply.status(), kDeadlineExceeded);
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(900));
  EXPECT_LT(absl::Now() - begin, Patience(absl::Seconds(10)));
  EXPECT_TRUE(Gone("sleep 5151"));
  EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_RUNNING);
  EXPECT_EQ(ShellOutput(id, "echo alive"), "alive\n");
}

TEST_F(ExecSyncTest, ACallersDeadlineEndsItToo) {
  const std::string id = RunAlone(IdleConfig("main"));
  const auto reply =
      client().ExecSync(id, {"sleep", "6161"}, 0, absl::Milliseconds(700));
  EXPECT_CODE(reply.status(), kDeadlineExceeded);
  EXPECT_TRUE(Gone("sleep 6161"));
}

TEST_F(ExecSyncTest, AFloodOfOutputIsCutAndTheCommandGoesOn) {
  const std::string id = RunAlone(IdleConfig("main"));
  const auto reply = client().ExecSync(
      id, {"sh", "-c",
           "head -c 40000000 /dev/zero; head -c 40000000 /dev/zero >&2; "
           "exit 5"});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->exit_code(), 5) << "it ran to its end";
  EXPECT_GT(reply->stdout().size(), 1u << 20);
  EXPECT_LT(reply->ByteSizeLong(), 16u << 20);
}

TEST_F(ExecSyncTest, AGrandchildThatKeepsStdoutDoesNotKeepTheCall) {
  const std::string id = RunAlone(IdleConfig("main"));
  // A call that is kept ends with its time-out, and that is an error.
  const auto reply =
      client().ExecSync(id, {"sh", "-c", "sleep 7171 & echo done"}, 30);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->stdout(), "done\n");
}

TEST_F(ExecSyncTest, ManyAtOnce) {
  const std::string id = RunAlone(IdleConfig("main"));
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      CriClient own(daemon().socket());
      for (int n = 0; n < 5; ++n) {
        const std::string word = std::to_string(i * 100 + n);
        const auto reply = own.ExecSync(id, {"echo", word});
        ASSERT_TRUE(reply.ok()) << reply.status();
        EXPECT_EQ(reply->stdout(), word + "\n");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ExecSyncTest, ItEndsWithItsContainer) {
  const std::string id = RunAlone(IdleConfig("main"));
  std::thread session([&] {
    const auto reply =
        CriClient(daemon().socket()).ExecSync(id, {"sleep", "8181"});
    EXPECT_TRUE(!reply.ok() || reply->exit_code() == 137) << reply.status();
  });
  EXPECT_TRUE(Eventually([] { return Alive("sleep 8181"); }));
  EXPECT_TRUE(client().StopContainer(id, 0).ok());
  session.join();
  EXPECT_TRUE(Gone("sleep 8181"));
}

TEST_F(ExecSyncTest, ItsMemoryCountsInTheContainersCgroup) {
  const std::string id = RunAlone(IdleConfig("main"));
  const std::string own = "cat /proc/self/cgroup";
  const std::string init = "cat /proc/1/cgroup";
  EXPECT_EQ(ShellOutput(id, own), ShellOutput(id, init));
}

}  // namespace
}  // namespace warren::test
