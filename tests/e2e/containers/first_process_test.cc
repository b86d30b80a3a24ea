// The first process of a container ends and its children do not: no pid
// namespace of its own takes them along (pid NODE and POD).
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>

#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/ledger_probes.h"

namespace warren::test {
namespace {

class FirstProcessTest : public CriTest {
 protected:
  static cri::ContainerConfig In(cri::NamespaceMode mode,
                                 cri::ContainerConfig config) {
    NamespaceOptions(&config)->set_pid(mode);
    return config;
  }
  static std::string Alive(const std::string& text) {
    std::string found;
    for (const std::string& line : Processes(0)) {
      if (line.find(text) != std::string::npos) found += line + "\n";
    }
    return found;
  }
  static bool AnyLeaf(const std::string& id) {
    return !RunCommand({"find", "/sys/fs/cgroup", "-name", id, "-type", "d"})
                .out.empty();
  }
  // Some process of the node has that file open.
  static bool IsOpen(const std::string& path) {
    return RunCommand({"sh", "-c",
                       absl::StrCat("ls -l /proc/[0-9]*/fd 2>/dev/null | "
                                    "grep -q -- '-> ",
                                    path, "$'")})
               .exit_code == 0;
  }
};

TEST_F(FirstProcessTest, C31_WhatItLeavesDiesWithItAtOnce) {
  for (const cri::NamespaceMode mode : {cri::NODE, cri::POD}) {
    cri::PodSandboxConfig pod = Pod(absl::StrCat("pod", mode));
    NamespaceOptions(&pod)->set_pid(mode);
    const std::string pod_id = RunPod(pod);
    const std::string other =
        Run(pod_id, pod, In(mode, ShellConfig("other", "exec sleep 41002")));
    // Both hold stdout; one has a session of its own and lost its parent.
    const std::string id =
        Run(pod_id, pod,
            In(mode, ShellConfig("main",
                                 "(setsid sleep 41000 &); "
                                 "(trap '' TERM; exec sleep 41001) & "
                                 "while ! test -e /go; do usleep 9999; done; "
                                 "echo last; exit 3")));
    EXPECT_TRUE(Eventually([] {
      return !Alive("sleep 41000").empty() && !Alive("sleep 41001").empty();
    }));
    const absl::Time begin = absl::Now();
    // The session may end with the container that it ends.
    client().ExecSync(id, {"touch", "/go"}).IgnoreError();
    const cri::ContainerStatus status = WaitExited(id);
    EXPECT_LT(absl::Now() - begin, Patience(absl::Seconds(2)));
    EXPECT_EQ(status.exit_code(), 3) << "in pid mode " << mode;
    EXPECT_TRUE(Eventually(
        [] {
          return Alive("sleep 41000").empty() && Alive("sleep 41001").empty();
        },
        absl::Seconds(2)))
        << "in pid mode " << mode;
    EXPECT_TRUE(Eventually([&] { return !IsOpen(status.log_path()); }));
    EXPECT_THAT(ReadHostFile(status.log_path()),
                testing::HasSubstr("stdout F last"));
    EXPECT_NE(Alive("sleep 41002"), "") << "in pid mode " << mode;
    EXPECT_EQ(StatusOf(other).state(), cri::CONTAINER_RUNNING);
    EXPECT_TRUE(client().RemoveContainer(id).ok());
    EXPECT_FALSE(AnyLeaf(id));
    // The next attempt runs alone.
    cri::ContainerConfig again = In(mode, IdleConfig("main"));
    again.mutable_metadata()->set_attempt(1);
    Run(pod_id, pod, again);
    EXPECT_EQ(ShellOutput(other, "echo alive"), "alive\n");
    RemoveAllPods();
  }
}

TEST_F(FirstProcessTest, C31_AStopEndsWhatForksAllTheTime) {
  for (const cri::NamespaceMode mode : {cri::NODE, cri::POD}) {
    cri::PodSandboxConfig pod = Pod(absl::StrCat("pod", mode));
    NamespaceOptions(&pod)->set_pid(mode);
    const std::string pod_id = RunPod(pod);
    const std::string other =
        Run(pod_id, pod, In(mode, ShellConfig("other", "exec sleep 41002")));
    const std::string id =
        Run(pod_id, pod,
            In(mode, ShellConfig("main",
                                 "trap '' TERM; breed() { while :; do "
                                 "(sleep 41003 &); usleep 5000; done; }; "
                                 "breed & breed & echo up; breed")));
    EXPECT_TRUE(Eventually([&] {
      return ReadHostFile(StatusOf(id).log_path()).find("up") !=
             std::string::npos;
    }));
    const absl::Status stopped = client().StopContainer(id, 1);
    EXPECT_TRUE(stopped.ok()) << stopped;
    EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_EXITED);
    EXPECT_EQ(StatusOf(id).exit_code(), 137);
    EXPECT_EQ(Alive("sleep 41003"), "") << "in pid mode " << mode;
    EXPECT_NE(Alive("sleep 41002"), "") << "in pid mode " << mode;
    EXPECT_EQ(StatusOf(other).state(), cri::CONTAINER_RUNNING);
    EXPECT_TRUE(client().RemoveContainer(id).ok());
    EXPECT_FALSE(AnyLeaf(id));
    RemoveAllPods();
  }
}

}  // namespace
}  // namespace warren::test
