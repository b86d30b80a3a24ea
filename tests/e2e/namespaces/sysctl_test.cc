// Sysctls of a pod: those of its own namespaces only, and never the node's.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

// Those that change by themselves.
constexpr const char* kRestless[] = {"kernel/ns_last_pid", "kernel/random/",
                                     "net/netfilter/nf_conntrack_count",
                                     "fs/dentry-state", "fs/inode-"};

// Writable sysctls of the node and their values.
std::map<std::string, std::string> DumpSysctls() {
  std::map<std::string, std::string> dump;
  const CommandResult found =
      RunCommand({"find", "/proc/sys", "-type", "f", "-perm", "-0200"});
  EXPECT_EQ(found.exit_code, 0) << found.err;
  for (absl::string_view path :
       absl::StrSplit(found.out, '\n', absl::SkipEmpty())) {
    const std::string name(path.substr(sizeof("/proc/sys/") - 1));
    if (std::any_of(std::begin(kRestless), std::end(kRestless),
                    [&](const char* p) { return absl::StartsWith(name, p); })) {
      continue;
    }
    dump[name] = ReadHostFile(std::string(path));
  }
  return dump;
}

// The names of both dumps whose values differ.
std::vector<std::string> Changed(
    const std::map<std::string, std::string>& before,
    const std::map<std::string, std::string>& after) {
  std::vector<std::string> changed;
  for (const auto& [name, value] : before) {
    const auto now = after.find(name);
    if (now != after.end() && now->second != value) changed.push_back(name);
  }
  return changed;
}

// Something else than it is now, so that a write to the node would show.
std::string Other(const std::string& value) {
  return absl::StartsWith(value, "1") ? "0" : "1";
}

class SysctlTest : public CriTest {
 protected:
  absl::Status RunWith(const std::string& name, const std::string& value,
                       bool host = false) {
    cri::PodSandboxConfig pod = Pod("sysctl");
    (*pod.mutable_linux()->mutable_sysctls())[name] = value;
    if (host) {
      NamespaceOptions(&pod)->set_network(cri::NODE);
      NamespaceOptions(&pod)->set_ipc(cri::NODE);
    }
    const absl::Status status = client().RunPodSandbox(pod).status();
    RemoveAllPods();
    return status;
  }
};

TEST_F(SysctlTest, STR_2_NothingOfTheNodeChanges) {
  const auto before = DumpSysctls();
  ASSERT_GE(before.size(), 200u);
  size_t place = 0;
  size_t refused = 0;
  size_t tried = 0;
  for (const auto& [name, value] : before) {
    const std::string dotted = absl::StrReplaceAll(name, {{"/", "."}});
    const bool net = absl::StartsWith(name, "net/");
    const bool ipc = absl::StartsWith(name, "fs/mqueue/") ||
                     absl::StartsWith(name, "kernel/shm") ||
                     absl::StartsWith(name, "kernel/msg") ||
                     name == "kernel/sem";
    // Of net, whose pods take their time, every tenth.
    if (net && ++place % 10 != 0) continue;
    ++tried;
    const absl::Status own = RunWith(dotted, Other(value));
    EXPECT_TRUE(own.ok() || absl::IsInvalidArgument(own))
        << name << ": " << own;
    EXPECT_TRUE(net || ipc || !own.ok()) << name << " is not a pod's";
    // With the node's namespaces there is none at all.
    EXPECT_CODE(RunWith(dotted, Other(value), true), kInvalidArgument) << name;
    refused += own.ok() ? 0 : 1;
  }
  EXPECT_GE(tried, 200u);
  EXPECT_GT(tried, refused) << "some can be set";
  EXPECT_THAT(Changed(before, DumpSysctls()), testing::IsEmpty());
}

TEST_F(SysctlTest, STR_2_OneSpellingAndNoTricks) {
  const auto before = DumpSysctls();
  const struct {
    std::string name;
    std::string value;
  } bad[] = {
      {"net/ipv4/ip_forward", "1"},
      {"net.ipv4/ip_forward", "1"},
      {"/proc/sys/net/ipv4/ip_forward", "1"},
      {"net.ipv4.ip_forward=1+kernel.panic", "1"},
      {"net.ipv4.ip_forward+kernel.panic", "1"},
      {"net.ipv4.ip_forward kernel.panic", "1"},
      {"net.ipv4.ip_forward\n", "1"},
      {"net.ipv4.ip_forward", "1\nkernel.panic=1"},
      {"net.ipv4.ip_forward", "1\r"},
      {"net.ipv4.ip_forward", std::string("1\0", 2)},
      {"net.ipv4.ip_forward", std::string(257, '1')},
      {"net...kernel.panic", "1"},
      {"net.ipv4.", "1"},
      {".net.ipv4.ip_forward", "1"},
      {"NET.ipv4.ip_forward", "1"},
      {"net.no.such.thing", "1"},
      {"net.ipv4.ip_local_port_range", "not a range"},
      {"kernel.hostname", "x"},
      {"kernel.domainname", "x"},
      {"kernel.core_pattern", "|/bin/sh"},
      {"kernel.shm_rmid_forced.x", "1"},
      {"", "1"},
  };
  for (const auto& b : bad) {
    const absl::Status status = RunWith(b.name, b.value);
    EXPECT_CODE(status, kInvalidArgument) << b.name << ": " << status;
    EXPECT_THAT(std::string(status.message()),
                testing::HasSubstr("config.linux.sysctls"))
        << b.name;
  }
  EXPECT_THAT(Changed(before, DumpSysctls()), testing::IsEmpty());
}

// Low ports and pings for programs without privileges, unless the request
// says otherwise. In a user namespace the groups are the pod's own (C33).
TEST_F(SysctlTest, PresetsGiveWayToTheRequest) {
  const std::string show =
      "cd /proc/sys/net/ipv4; "
      "cat ip_unprivileged_port_start ping_group_range | tr '\\t' ' '";
  cri::PodSandboxConfig pod = Pod("preset");
  EXPECT_EQ(ShellOutput(Run(RunPod(pod), pod, IdleConfig("main")), show),
            "0\n0 2147483647\n");
  cri::PodSandboxConfig asks = Pod("asks");
  auto& sysctls = *asks.mutable_linux()->mutable_sysctls();
  sysctls["net.ipv4.ip_unprivileged_port_start"] = "80";
  sysctls["net.ipv4.ping_group_range"] = "7 8";
  EXPECT_EQ(ShellOutput(Run(RunPod(asks), asks, IdleConfig("main")), show),
            "80\n7 8\n");
  cri::PodSandboxConfig mapped = Pod("mapped");
  UseUserNamespace(NamespaceOptions(&mapped), 3 * 65536);
  cri::ContainerConfig config = IdleConfig("main");
  UseUserNamespace(NamespaceOptions(&config), 3 * 65536);
  EXPECT_EQ(ShellOutput(Run(RunPod(mapped), mapped, config), show),
            "0\n0 65535\n");
}

// A program without privileges pings; what is not mapped leaves nothing behind.
TEST_F(SysctlTest, C33_GroupsMayPingInAUserNamespace) {
  cri::PodSandboxConfig pod = Pod("pings");
  UseUserNamespace(NamespaceOptions(&pod), 3 * 65536);
  auto& range =
      (*pod.mutable_linux()->mutable_sysctls())["net.ipv4.ping_group_range"];
  for (const char* unmapped : {"0 2147483647", "0 65536"}) {
    range = unmapped;
    const absl::Status status = client().RunPodSandbox(pod).status();
    EXPECT_CODE(status, kInvalidArgument);
    EXPECT_THAT(std::string(status.message()),
                testing::HasSubstr("ping_group_range"));
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("0..65535"));
  }
  range = "0\t1000";
  cri::ContainerConfig config = IdleConfig("main");
  UseUserNamespace(NamespaceOptions(&config), 3 * 65536);
  auto* security = config.mutable_linux()->mutable_security_context();
  security->mutable_run_as_user()->set_value(1000);
  security->mutable_run_as_group()->set_value(1000);
  security->mutable_capabilities()->add_drop_capabilities("ALL");
  AddMount(&config, ProbePath(), "/probe", true);
  const std::string pod_id = RunPod(pod);
  const std::string id = Run(pod_id, pod, config);
  // An echo socket, of which busybox's ping knows nothing.
  const std::vector<std::string> open_socket = {"/probe",
                                                "call",
                                                std::to_string(SYS_socket),
                                                std::to_string(AF_INET),
                                                std::to_string(SOCK_DGRAM),
                                                std::to_string(IPPROTO_ICMP)};
  EXPECT_EQ(Output(id, open_socket), "0\n");
  security->mutable_run_as_group()->set_value(1001);
  config.mutable_metadata()->set_name("other");
  const std::string other = Run(pod_id, pod, config);
  EXPECT_EQ(Output(other, open_socket), absl::StrCat(EACCES, "\n"));
}

}  // namespace
}  // namespace warren::test
