// Other pod ranges while pods run: by the configuration and a restart, and by
// UpdateRuntimeConfig.
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/http_fetch.h"

namespace warren::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class PodRangesTest : public CriTest {
 protected:
  // The leak check wants the node as it was.
  void TearDown() override {
    RemoveAllPods();
    KillDaemon();
    Configure("");
    unlink((daemon().state_dir() + "/pod_ranges").c_str());
    StartDaemon();
    CriTest::TearDown();
  }
  // At the next start; "" = the default.
  void Configure(const std::string& ranges) {
    daemon().extra_network =
        ranges.empty() ? "" : absl::StrCat("pod_ranges = [", ranges, "]\n");
  }
  void Restart() {
    KillDaemon();
    StartDaemon();
  }
  absl::Status Update(const std::string& ranges) {
    cri::UpdateRuntimeConfigRequest request;
    request.mutable_runtime_config()->mutable_network_config()->set_pod_cidr(
        ranges);
    return client().Call<cri::UpdateRuntimeConfigResponse>(request).status();
  }
  // A server on port 80 that says `page`.
  std::string RunServer(const std::string& page, std::string* pod_id) {
    const cri::PodSandboxConfig pod = Pod(page);
    *pod_id = RunPod(pod);
    return Run(*pod_id, pod,
               ShellConfig("server", absl::StrCat("mkdir /www; echo ", page,
                                                  " > /www/index.html; "
                                                  "exec httpd -f -p 80 "
                                                  "-h /www")));
  }
  std::string IpOf(const std::string& pod_id) {
    const auto status = client().PodSandboxStatus(pod_id);
    EXPECT_TRUE(status.ok()) << status.status();
    if (!status.ok()) return "";
    EXPECT_EQ(status->status().state(), cri::SANDBOX_READY);
    return status->status().network().ip();
  }
  // Reached from the node, reaches the node's gateway and the world.
  void ExpectConnected(const std::string& pod_id, const std::string& container,
                       const std::string& page) {
    const std::string ip = IpOf(pod_id);
    EXPECT_TRUE(Eventually([&] {
      return HttpGet(ip, 80, "/").value_or("nothing") == page + "\n";
    })) << ip;
    EXPECT_EQ(ShellOutput(container,
                          "gw=$(ip route | sed -n 's/^default via "
                          "\\([^ ]*\\) .*/\\1/p'); ping -c 1 -W 5 $gw "
                          ">/dev/null && ping -c 1 -W 5 192.0.2.1 "
                          ">/dev/null && echo ok"),
              "ok\n");
  }
  std::string Fetch(const std::string& container, const std::string& ip) {
    return ShellOutput(container, "wget -q -O - http://" + ip + "/");
  }
  // Addresses of the bridge and all packet rules.
  static std::string Network() {
    return RunCommand({"ip", "addr", "show", "warren0"}).out +
           RunCommand({"nft", "list", "ruleset"}).out;
  }
};

TEST_F(PodRangesTest, OldPodsGoOnAfterAChangeOfTheConfiguration) {
  std::string old_pod;
  const std::string old_server = RunServer("old", &old_pod);
  const std::string old_ip = IpOf(old_pod);
  const pid_t pid = HostPid(old_pod, old_server);
  ASSERT_THAT(old_ip, StartsWith("10.88."));
  Configure("\"10.91.0.0/24\"");
  Restart();
  EXPECT_EQ(IpOf(old_pod), old_ip);
  EXPECT_EQ(HostPid(old_pod, old_server), pid) << "the same process";
  ExpectConnected(old_pod, old_server, "old");
  std::string new_pod;
  const std::string new_server = RunServer("new", &new_pod);
  EXPECT_THAT(IpOf(new_pod), StartsWith("10.91.0."));
  ExpectConnected(new_pod, new_server, "new");
  EXPECT_EQ(Fetch(new_server, old_ip), "old\n");
  EXPECT_EQ(Fetch(old_server, IpOf(new_pod)), "new\n");
  // Once more, as nobody changed anything.
  Restart();
  ExpectConnected(old_pod, old_server, "old");
  ExpectConnected(new_pod, new_server, "new");
  EXPECT_THAT(Network(), HasSubstr("10.88.0.1/16"));
  EXPECT_TRUE(client().RemovePodSandbox(old_pod).ok());
  EXPECT_TRUE(Eventually([] {
    return Network().find("10.88.") == std::string::npos;
  })) << Network();
  ExpectConnected(new_pod, new_server, "new");
}

TEST_F(PodRangesTest, OldPodsGoOnAfterUpdateRuntimeConfig) {
  std::string old_pod;
  const std::string old_server = RunServer("old", &old_pod);
  const std::string old_ip = IpOf(old_pod);
  EXPECT_TRUE(Update("10.88.0.0/24").ok()) << "the same gateway";
  EXPECT_TRUE(Update("10.92.0.0/16").ok());
  std::string new_pod;
  const std::string new_server = RunServer("new", &new_pod);
  EXPECT_THAT(IpOf(new_pod), StartsWith("10.92."));
  EXPECT_EQ(IpOf(old_pod), old_ip);
  ExpectConnected(old_pod, old_server, "old");
  ExpectConnected(new_pod, new_server, "new");
  EXPECT_EQ(Fetch(new_server, old_ip), "old\n");
  Restart();
  ExpectConnected(old_pod, old_server, "old");
  ExpectConnected(new_pod, new_server, "new");
  EXPECT_THAT(IpOf(RunPod(Pod("more"))), StartsWith("10.92."));
  // Back: the new pod is now the old one.
  EXPECT_TRUE(Update("10.88.0.0/16").ok());
  ExpectConnected(new_pod, new_server, "new");
  EXPECT_TRUE(client().RemovePodSandbox(old_pod).ok());
  EXPECT_THAT(IpOf(RunPod(Pod("again"))), StartsWith("10.88."));
  EXPECT_THAT(Network(), HasSubstr("10.92.0.1/16"));
  RemoveAllPods();
  EXPECT_TRUE(Eventually([] {
    return Network().find("10.92.") == std::string::npos;
  })) << Network();
}

TEST_F(PodRangesTest, ARangeThatNeedsTheAddressOfAPodIsRefused) {
  std::string pod_id;
  std::string server = RunServer("first", &pod_id);
  std::string ip = IpOf(pod_id);
  int last = 0;
  ASSERT_TRUE(absl::SimpleAtoi(ip.substr(ip.rfind('.') + 1), &last));
  if (last % 4 == 2) {
    // In a range of two bits that one may go on; the next may not.
    server = RunServer("second", &pod_id);
    ip = IpOf(pod_id);
    ++last;
  }
  const std::string range =
      absl::StrCat(ip.substr(0, ip.rfind('.') + 1), last - last % 4, "/30");
  const std::string before = Network();
  const absl::Status update = Update(range);
  EXPECT_CODE(update, kFailedPrecondition);
  EXPECT_THAT(std::string(update.message()), HasSubstr(pod_id));
  EXPECT_EQ(Network(), before);
  KillDaemon();
  Configure("\"" + range + "\"");
  const absl::Status start = daemon().Start();
  EXPECT_FALSE(start.ok());
  EXPECT_THAT(std::string(start.message()), HasSubstr(pod_id));
  EXPECT_THAT(std::string(start.message()),
              HasSubstr("put back the pod range of before"));
  EXPECT_EQ(Network(), before) << "nothing was changed";
  Configure("");
  StartDaemon();
  EXPECT_EQ(IpOf(pod_id), ip);
  EXPECT_EQ(ShellOutput(server, "echo alive"), "alive\n");
}

// The file that keeps what UpdateRuntimeConfig said is not what it should be.
TEST_F(PodRangesTest, REL_16_PodsOfALostFileGoOn) {
  const std::string file = daemon().state_dir() + "/pod_ranges";
  const std::vector<std::function<bool()>> kinds = {
      [&] { return mkfifo(file.c_str(), 0600) == 0; },
      [&] { return WriteHostFile(file, std::string("\0\xff!", 3)); },
      [&] { return WriteHostFile(file, std::string(100000, '1')); },
      [&] { return mkdir(file.c_str(), 0700) == 0; }};
  ASSERT_TRUE(Update("10.95.0.0/16").ok());
  std::string pod_id;
  const std::string server = RunServer("old", &pod_id);
  ASSERT_THAT(IpOf(pod_id), StartsWith("10.95."));
  for (size_t i = 0; i < kinds.size(); ++i) {
    KillDaemon();
    ASSERT_EQ(unlink(file.c_str()), 0);
    ASSERT_TRUE(kinds[i]()) << i;
    StartDaemon();
    ExpectConnected(pod_id, server, "old");
    EXPECT_THAT(IpOf(RunPod(Pod(absl::StrCat("new", i)))),
                StartsWith("10.88."));
    const auto status =
        client().Call<cri::StatusResponse>(cri::StatusRequest());
    ASSERT_TRUE(status.ok()) << status.status();
    EXPECT_THAT(status->ShortDebugString(), HasSubstr(file)) << i;
    if (i + 1 == kinds.size()) break;
    // A kubelet says it again.
    EXPECT_TRUE(Update("10.95.0.0/16").ok());
    EXPECT_EQ(ReadHostFile(file), "10.95.0.0/16\n");
  }
  EXPECT_FALSE(Update("10.96.0.0/16").ok()) << "there is a directory";
  EXPECT_THAT(IpOf(RunPod(Pod("after"))), StartsWith("10.88."));
  ASSERT_EQ(rmdir(file.c_str()), 0);
}

// Whoever was last: its range is in the file, in the kernel and in use.
TEST_F(PodRangesTest, TwoUpdatesAtOnceAgreeInTheEnd) {
  for (int i = 0; i < 5; ++i) {
    std::vector<std::thread> callers;
    for (const char* range : {"10.93.0.0/16", "10.94.0.0/16"}) {
      callers.emplace_back([this, range] {
        EXPECT_TRUE(Update(range).ok());
        RunPod(Pod(std::string("pod-") + range[4]));
      });
    }
    for (std::thread& caller : callers) caller.join();
    const std::string file = ReadHostFile(daemon().state_dir() + "/pod_ranges");
    const std::string pod_id = RunPod(Pod("last"));
    EXPECT_EQ(IpOf(pod_id).substr(0, 6), file.substr(0, 6));
    RemoveAllPods();
    const bool first = file == "10.93.0.0/16\n";
    EXPECT_THAT(Network(), HasSubstr(first ? "10.93.0.1" : "10.94.0.1"));
    EXPECT_TRUE(Eventually([&] {
      return Network().find(first ? "10.94." : "10.93.") == std::string::npos;
    })) << Network();
  }
}

}  // namespace
}  // namespace warren::test
