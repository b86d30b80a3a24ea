// StopContainer: grace, signals, and who is dead afterwards.
#include <absl/time/clock.h>

#include <atomic>
#include <string>
#include <thread>

#include "tests/support/cri_test.h"
#include "tests/support/ledger_probes.h"

namespace warren::test {
namespace {

class StopTest : public CriTest {
 protected:
  void WaitForLog(const std::string& id, const std::string& text) {
    EXPECT_TRUE(Eventually([&] {
      return ReadHostFile(StatusOf(id).log_path()).find(text) !=
             std::string::npos;
    })) << "no \""
        << text << "\" in the log";
  }
};

TEST_F(StopTest, TheStopSignalAndItsExitCode) {
  const std::string id = RunAlone(ShellConfig(
      "main",
      "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 100 & wait; "
      "done"));
  WaitForLog(id, "up");
  EXPECT_TRUE(client().StopContainer(id, 20).ok());
  const cri::ContainerStatus status = StatusOf(id);
  EXPECT_EQ(status.state(), cri::CONTAINER_EXITED);
  EXPECT_EQ(status.exit_code(), 7);
  EXPECT_THAT(ReadHostFile(status.log_path()), testing::HasSubstr("bye"))
      << "what it said before its end is in the log";
}

TEST_F(StopTest, TheSignalOfTheRequestWins) {
  cri::ContainerConfig config = ShellConfig(
      "main", "trap 'exit 9' INT; echo up; while :; do sleep 100 & wait; done");
  config.set_stop_signal(cri::SIGNAL_SIGINT);
  const std::string id = RunAlone(config);
  EXPECT_EQ(StatusOf(id).stop_signal(), cri::SIGNAL_SIGINT);
  WaitForLog(id, "up");
  EXPECT_TRUE(client().StopContainer(id, 20).ok());
  EXPECT_EQ(StatusOf(id).exit_code(), 9);
}

TEST_F(StopTest, AfterTheGraceComesSigkill) {
  const std::string id = RunAlone(ShellConfig(
      "main", "trap '' TERM; echo up; while :; do sleep 100 & wait; done"));
  WaitForLog(id, "up");
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(client().StopContainer(id, 2).ok());
  const absl::Duration took = absl::Now() - begin;
  EXPECT_GE(took, absl::Milliseconds(1900));
  EXPECT_LT(took, Patience(absl::Seconds(10)));
  EXPECT_EQ(StatusOf(id).exit_code(), 137);
}

TEST_F(StopTest, NoGraceMeansSigkillAtOnce) {
  for (const int64_t timeout : {0, -1}) {
    const std::string id =
        RunAlone(ShellConfig("t" + std::to_string(timeout),
                             "trap 'exit 3' TERM; echo up; sleep 1000 & wait"));
    WaitForLog(id, "up");
    EXPECT_TRUE(client().StopContainer(id, timeout).ok());
    EXPECT_EQ(StatusOf(id).exit_code(), 137) << "3: SIGTERM came first";
  }
}

TEST_F(StopTest, DefaultActionOfSigtermIs143) {
  // A process that is not PID 1 of its namespace has default actions.
  cri::PodSandboxConfig pod = Pod("pod");
  NamespaceOptions(&pod)->set_pid(cri::POD);
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = ContainerConfig("main", {"sleep", "1000"});
  NamespaceOptions(&config)->set_pid(cri::POD);
  const std::string id = Run(pod_id, pod, config);
  EXPECT_TRUE(client().StopContainer(id, 20).ok());
  EXPECT_EQ(StatusOf(id).exit_code(), 143);
  EXPECT_EQ(StatusOf(id).reason(), "Error");
}

TEST_F(StopTest, StopIsIdempotentInEveryState) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  const auto created =
      client().CreateContainer(pod_id, IdleConfig("created"), pod);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_TRUE(client().StopContainer(*created, 1).ok());
  EXPECT_EQ(StatusOf(*created).state(), cri::CONTAINER_CREATED);
  const std::string id = Run(pod_id, pod, IdleConfig("main"));
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(client().StopContainer(id, 5).ok());
    EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_EXITED);
  }
}

TEST_F(StopTest, TwoStopsAtOnceBothReturnWhenItIsDead) {
  const std::string id = RunAlone(ShellConfig(
      "main", "trap '' TERM; echo up; while :; do sleep 100 & wait; done"));
  WaitForLog(id, "up");
  std::thread slow([&] {
    EXPECT_TRUE(CriClient(daemon().socket()).StopContainer(id, 30).ok());
    EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_EXITED);
  });
  EXPECT_TRUE(client().StopContainer(id, 1).ok());
  EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_EXITED);
  slow.join();
}

TEST_F(StopTest, WhatAContainerForkedDiesWithItInAnyPidMode) {
  for (const cri::NamespaceMode mode : {cri::CONTAINER, cri::POD, cri::NODE}) {
    cri::PodSandboxConfig pod = Pod("pod" + std::to_string(mode));
    NamespaceOptions(&pod)->set_pid(mode);
    const std::string pod_id = RunPod(pod);
    cri::ContainerConfig config =
        ShellConfig("main",
                    "setsid sleep 4242 & setsid sleep 4242 & "
                    "echo up; exec sleep 4242");
    NamespaceOptions(&config)->set_pid(mode);
    const std::string id = Run(pod_id, pod, config);
    WaitForLog(id, "up");
    EXPECT_TRUE(client().StopContainer(id, 0).ok());
    EXPECT_TRUE(Eventually([] {
      for (const std::string& line : Processes(0)) {
        if (line.find("sleep 4242") != std::string::npos) return false;
      }
      return true;
    })) << "pid mode "
        << mode;
  }
}

TEST_F(StopTest, AStopOfOnePodDoesNotWaitForAnother) {
  const std::string stubborn = RunAlone(ShellConfig(
      "stubborn", "trap '' TERM; echo up; while :; do sleep 100 & wait; done"));
  const std::string quick = RunAlone(IdleConfig("quick"));
  WaitForLog(stubborn, "up");
  std::atomic<bool> stopped = false;
  std::thread slow([&] {
    EXPECT_TRUE(CriClient(daemon().socket()).StopContainer(stubborn, 50).ok());
    stopped = true;
  });
  EXPECT_TRUE(client().StopContainer(quick, 0).ok());
  EXPECT_FALSE(stopped);
  // An earlier end of the grace is the end of both stops.
  EXPECT_TRUE(client().StopContainer(stubborn, 0).ok());
  slow.join();
}

}  // namespace
}  // namespace warren::test
