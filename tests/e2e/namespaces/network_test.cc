// The network namespace: two servers on port 80, routes to them, the way out.
#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <set>
#include <string>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/http_fetch.h"
#include "tests/support/ledger_probes.h"
#include "tests/support/node_namespace.h"

namespace warren::test {
namespace {

class NetworkTest : public CriTest {
 protected:
  static cri::ContainerConfig Server(const std::string& page) {
    return ShellConfig("server", absl::StrCat("mkdir /www; echo '", page,
                                              "' > /www/index.html; "
                                              "exec httpd -f -p 80 -h /www"));
  }
  std::string IpOf(const std::string& pod_id) {
    auto status = client().PodSandboxStatus(pod_id);
    EXPECT_TRUE(status.ok()) << status.status();
    return status.ok() ? status->status().network().ip() : "";
  }
};

TEST_F(NetworkTest, TwoServersOnPort80EachWithItsOwnPage) {
  std::string first;
  std::string second;
  RunAlone(Server("first"), &first);
  cri::PodSandboxConfig pod = Pod("second");
  second = RunPod(pod);
  Run(second, pod, Server("second"));
  ASSERT_NE(IpOf(first), IpOf(second));
  EXPECT_EQ(HttpGet(IpOf(first), 80, "/").value_or("nothing"), "first\n");
  EXPECT_EQ(HttpGet(IpOf(second), 80, "/").value_or("nothing"), "second\n");
}

TEST_F(NetworkTest, PodsReachEachOther) {
  std::string server;
  RunAlone(Server("hello"), &server);
  const std::string ip = IpOf(server);
  ASSERT_TRUE(HttpGet(ip, 80, "/").ok());
  const std::string client_id = RunAlone(IdleConfig("client"));
  EXPECT_EQ(ShellOutput(client_id, "wget -q -O - http://" + ip + "/"),
            "hello\n");
}

TEST_F(NetworkTest, ContainersOfAPodShareLocalhost) {
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  Run(pod_id, pod, Server("local"));
  ASSERT_TRUE(HttpGet(IpOf(pod_id), 80, "/").ok());
  const std::string other = Run(pod_id, pod, IdleConfig("other"));
  EXPECT_EQ(ShellOutput(other, "wget -q -O - http://127.0.0.1/"), "local\n");
}

TEST_F(NetworkTest, InsideThereIsLoEth0AndADefaultRoute) {
  std::string pod_id;
  const std::string id = RunAlone(IdleConfig("main"), &pod_id);
  const std::string links = ShellOutput(id, "ip -o link");
  EXPECT_THAT(links, testing::HasSubstr(" lo: <LOOPBACK,UP"));
  EXPECT_THAT(links, testing::HasSubstr(" eth0@"));
  EXPECT_EQ(ShellOutput(id, "ip -o link | wc -l"), "2\n");
  EXPECT_THAT(ShellOutput(id, "ip -4 addr show eth0"),
              testing::HasSubstr(IpOf(pod_id) + "/"));
  EXPECT_THAT(ShellOutput(id, "ip route"),
              testing::HasSubstr("default via 10.88."));
  EXPECT_NE(NamespaceInode(HostPid(pod_id, id), "net"),
            NamespaceInode(getpid(), "net"));
}

TEST_F(NetworkTest, OutsideThereIsOneRouteAndOneLinkAPod) {
  const Ledger before = TakeLedger(daemon().Scope());
  std::string pod_id;
  RunAlone(IdleConfig("main"), &pod_id);
  const Ledger after = TakeLedger(daemon().Scope());
  EXPECT_EQ(after.at("link").size(), before.at("link").size() + 1);
  const auto rules = [](const Ledger& ledger) {
    std::set<std::string> lines;
    for (const std::string& line : ledger.at("nft")) {
      // Elements, and lines that go on with them.
      if (line.find("elements = ") != std::string::npos) continue;
      if (absl::ascii_isdigit(static_cast<unsigned char>(line[0]))) continue;
      lines.insert(line);
    }
    return lines;
  };
  EXPECT_EQ(rules(after), rules(before)) << "elements of sets, not rules";
  EXPECT_THAT(RunCommand({"ip", "route", "get", IpOf(pod_id)}).out,
              testing::HasSubstr("dev warren0"));
}

TEST_F(NetworkTest, TheWorldSeesTheNodesAddress) {
  // A server outside that says who called.
  const std::string id = RunAlone(IdleConfig("main"));
  std::string seen;
  RunInNetns(OutsideNetns(), [&] {
    const CommandResult ready = RunCommand({"ip", "-br", "addr"});
    seen = ready.out;
  });
  EXPECT_THAT(seen, testing::HasSubstr("192.0.2.1/24"));
  EXPECT_EQ(ShellOutput(id, "ping -c 1 -W 5 192.0.2.1 >/dev/null && echo ok"),
            "ok\n")
      << "the outside has no route to pods: only masquerading gets a reply";
}

TEST_F(NetworkTest, NodeModeIsTheNodesNetwork) {
  cri::PodSandboxConfig pod = Pod("pod");
  pod.clear_hostname();
  NamespaceOptions(&pod)->set_network(cri::NODE);
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = IdleConfig("main");
  NamespaceOptions(&config)->set_network(cri::NODE);
  const std::string id = Run(pod_id, pod, config);
  EXPECT_EQ(IpOf(pod_id), "");
  EXPECT_THAT(ShellOutput(id, "ip addr"), testing::HasSubstr("192.0.2.2/24"));
  EXPECT_EQ(NamespaceInode(HostPid(pod_id, id), "net"),
            NamespaceInode(getpid(), "net"));
  EXPECT_EQ(ShellOutput(id, "uname -n; cat /etc/hostname"),
            "warren-test-node\nwarren-test-node\n");
}

TEST_F(NetworkTest, AddressesAreNotGivenTwiceInARow) {
  std::set<std::string> addresses;
  for (int i = 0; i < 5; ++i) {
    const std::string id = RunPod(Pod("p" + std::to_string(i)));
    EXPECT_TRUE(addresses.insert(IpOf(id)).second);
    EXPECT_TRUE(client().RemovePodSandbox(id).ok());
  }
}

TEST_F(NetworkTest, APodCanBeRemovedWhenItsLinkIsAlreadyGone) {
  const Ledger before = TakeLedger(daemon().Scope());
  const std::string id = RunPod(Pod("yanked"));
  for (const std::string& link : Links()) {
    if (before.at("link").contains(link)) continue;
    const std::string name = link.substr(0, link.find('@'));
    EXPECT_EQ(RunCommand({"ip", "link", "del", name}).exit_code, 0);
  }
  EXPECT_TRUE(client().StopPodSandbox(id).ok());
  EXPECT_TRUE(client().RemovePodSandbox(id).ok());
}

}  // namespace
}  // namespace warren::test
