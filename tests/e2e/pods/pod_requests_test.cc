// RunPodSandbox with bad requests: each is refused with the right code and
// leaves nothing (the ledger check after each test).
#include <functional>
#include <string>
#include <vector>

#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

struct BadPod {
  const char* what;
  const char* field;  // that the error names
  std::function<void(cri::PodSandboxConfig*)> change;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

cri::NamespaceOption* Options(cri::PodSandboxConfig* config) {
  return NamespaceOptions(config);
}

cri::LinuxSandboxSecurityContext* Security(cri::PodSandboxConfig* config) {
  return config->mutable_linux()->mutable_security_context();
}

const std::vector<BadPod>& BadPods() {
  using Config = cri::PodSandboxConfig;
  static const auto* cases = new std::vector<BadPod>{
      {"no metadata", "config.metadata",
       [](Config* c) { c->clear_metadata(); }},
      {"no name", "config.metadata.name",
       [](Config* c) { c->mutable_metadata()->clear_name(); }},
      {"no uid", "config.metadata.uid",
       [](Config* c) { c->mutable_metadata()->clear_uid(); }},
      {"no namespace", "config.metadata.namespace",
       [](Config* c) { c->mutable_metadata()->clear_namespace_(); }},
      {"hostname too long", "config.hostname",
       [](Config* c) { c->set_hostname(std::string(65, 'a')); }},
      {"hostname with a newline", "config.hostname",
       [](Config* c) { c->set_hostname("a\nb"); }},
      {"relative log directory", "config.log_directory",
       [](Config* c) { c->set_log_directory("logs/here"); }},
      {"DNS server with a newline", "config.dns_config.servers",
       [](Config* c) {
         c->mutable_dns_config()->add_servers("192.0.2.1\noptions evil");
       }},
      {"DNS search with a newline", "config.dns_config.searches",
       [](Config* c) { c->mutable_dns_config()->add_searches("a\nb"); }},
      {"cgroup parent with ..", "config.linux.cgroup_parent",
       [](Config* c) { c->mutable_linux()->set_cgroup_parent("/a/../b"); }},
  };
  return *cases;
}

const std::vector<BadPod>& BadNamespacesAndSysctls() {
  using Config = cri::PodSandboxConfig;
  static const auto* cases = new std::vector<BadPod>{
      {"network mode CONTAINER", "namespace_options.network",
       [](Config* c) { Options(c)->set_network(cri::CONTAINER); }},
      {"network mode TARGET", "namespace_options.network",
       [](Config* c) { Options(c)->set_network(cri::TARGET); }},
      {"network mode 77", "namespace_options.network",
       [](Config* c) {
         Options(c)->set_network(static_cast<cri::NamespaceMode>(77));
       }},
      {"ipc mode CONTAINER", "namespace_options.ipc",
       [](Config* c) { Options(c)->set_ipc(cri::CONTAINER); }},
      {"pid mode TARGET", "namespace_options.pid",
       [](Config* c) { Options(c)->set_pid(cri::TARGET); }},
      {"sysctl of the node", "kernel.panic",
       [](Config* c) {
         (*c->mutable_linux()->mutable_sysctls())["kernel.panic"] = "1";
       }},
      {"sysctl outside of its tree", "net/../kernel/panic",
       [](Config* c) {
         (*c->mutable_linux()->mutable_sysctls())["net/../kernel/panic"] = "1";
       }},
      {"net sysctl with the node's network", "net.ipv4.ip_forward",
       [](Config* c) {
         Options(c)->set_network(cri::NODE);
         (*c->mutable_linux()->mutable_sysctls())["net.ipv4.ip_forward"] = "1";
       }},
  };
  return *cases;
}

const std::vector<BadPod>& BadNetworksAndUsers() {
  using Config = cri::PodSandboxConfig;
  static const auto* cases = new std::vector<BadPod>{
      {"DNS search with a blank", "config.dns_config.searches",
       [](Config* c) { c->mutable_dns_config()->add_searches("a b"); }},
      {"empty DNS option", "config.dns_config.options",
       [](Config* c) { c->mutable_dns_config()->add_options(""); }},
      {"65 DNS options", "config.dns_config.options",
       [](Config* c) {
         for (int i = 0; i < 65; ++i) c->mutable_dns_config()->add_options("x");
       }},
      {"65 DNS servers", "config.dns_config.servers",
       [](Config* c) {
         for (int i = 0; i < 65; ++i) {
           c->mutable_dns_config()->add_servers("192.0.2.1");
         }
       }},
      {"container port 65536", "config.port_mappings[0].container_port",
       [](Config* c) { c->add_port_mappings()->set_container_port(65536); }},
      {"container port -1", "config.port_mappings[1].container_port",
       [](Config* c) {
         c->add_port_mappings()->set_container_port(80);
         c->add_port_mappings()->set_container_port(-1);
       }},
      {"host port 65536", "config.port_mappings[0].host_port",
       [](Config* c) {
         auto* mapping = c->add_port_mappings();
         mapping->set_container_port(80);
         mapping->set_host_port(65536);
       }},
      {"protocol 9", "config.port_mappings[0].protocol",
       [](Config* c) {
         c->add_port_mappings()->set_protocol(static_cast<cri::Protocol>(9));
       }},
      {"group without user", "run_as_group",
       [](Config* c) { Security(c)->mutable_run_as_group()->set_value(1); }},
      {"negative user", "run_as_user",
       [](Config* c) { Security(c)->mutable_run_as_user()->set_value(-1); }},
      {"group beyond 31 bits", "supplemental_groups",
       [](Config* c) { Security(c)->add_supplemental_groups(1LL << 31); }},
      {"unknown groups policy", "supplemental_groups_policy",
       [](Config* c) {
         Security(c)->set_supplemental_groups_policy(
             static_cast<cri::SupplementalGroupsPolicy>(7));
       }},
      {"host port", "config.port_mappings[0].host_port",
       [](Config* c) {
         auto* mapping = c->add_port_mappings();
         mapping->set_container_port(80);
         mapping->set_host_port(8080);
       },
       absl::StatusCode::kUnimplemented},
  };
  return *cases;
}

const std::vector<BadPod>& BadUserNamespaces() {
  using Config = cri::PodSandboxConfig;
  static const auto mapping = [](Config* c) {
    return Options(c)->mutable_userns_options();
  };
  static const auto* cases = new std::vector<BadPod>{
      {"two uid mappings", "userns_options.uids",
       [](Config* c) {
         UseUserNamespace(Options(c), 1 << 16);
         *mapping(c)->add_uids() = mapping(c)->uids(0);
       }},
      {"no gid mapping", "userns_options.gids",
       [](Config* c) {
         UseUserNamespace(Options(c), 1 << 16);
         mapping(c)->clear_gids();
       }},
      {"length 0", "userns_options.uids",
       [](Config* c) {
         UseUserNamespace(Options(c), 1 << 16);
         mapping(c)->mutable_uids(0)->set_length(0);
       }},
      {"root not mapped", "userns_options.gids",
       [](Config* c) {
         UseUserNamespace(Options(c), 1 << 16);
         mapping(c)->mutable_gids(0)->set_container_id(1);
       }},
      {"range beyond 32 bits", "userns_options.uids",
       [](Config* c) { UseUserNamespace(Options(c), 0xfffffff0); }},
      {"ids of the node's own users", "userns_options.uids",
       [](Config* c) { UseUserNamespace(Options(c), 1000); }},
      {"NODE with mappings", "userns_options",
       [](Config* c) {
         UseUserNamespace(Options(c), 1 << 16);
         mapping(c)->set_mode(cri::NODE);
       }},
      {"POD without mappings", "userns_options.uids",
       [](Config* c) { mapping(c)->set_mode(cri::POD); }},
      {"CONTAINER", "userns_options.mode",
       [](Config* c) {
         UseUserNamespace(Options(c), 1 << 16);
         mapping(c)->set_mode(cri::CONTAINER);
       }},
      {"TARGET", "userns_options.mode",
       [](Config* c) {
         UseUserNamespace(Options(c), 1 << 16);
         mapping(c)->set_mode(cri::TARGET);
       }},
  };
  return *cases;
}

class PodRequestsTest : public CriTest {
 protected:
  void ExpectRefused(const std::vector<BadPod>& cases) {
    for (const BadPod& bad : cases) {
      cri::PodSandboxConfig config = Pod("bad");
      bad.change(&config);
      const auto id = client().RunPodSandbox(config);
      EXPECT_EQ(absl::StatusCodeToString(id.status().code()),
                absl::StatusCodeToString(bad.code))
          << bad.what << ": " << id.status();
      EXPECT_THAT(std::string(id.status().message()),
                  testing::HasSubstr(bad.field))
          << bad.what;
      EXPECT_TRUE(client().ListPodSandbox()->empty()) << bad.what;
      RemoveAllPods();
    }
  }
};

TEST_F(PodRequestsTest, BadConfigurationsAreRefused) {
  ExpectRefused(BadPods());
  ExpectRefused(BadNamespacesAndSysctls());
  ExpectRefused(BadNetworksAndUsers());
}

TEST_F(PodRequestsTest, BadUserNamespacesAreRefused) {
  ExpectRefused(BadUserNamespaces());
}

TEST_F(PodRequestsTest, BadTimeOffsetsAreRefused) {
  for (const char* key : {"warren.dev/time-offset.boottime",
                          "warren.dev/time-offset.monotonic"}) {
    for (const char* value :
         {"", "x", "1h", "1.2.3", "--5", "1e9", "99999999999999999999", " 5",
          "5 ", "0x10", ".", "+", "-"}) {
      cri::PodSandboxConfig config = Pod("time");
      (*config.mutable_annotations())[key] = value;
      EXPECT_CODE(client().RunPodSandbox(config).status(), kInvalidArgument)
          << key << "=\"" << value << "\"";
    }
  }
}

TEST_F(PodRequestsTest, UnknownRuntimeHandlersAreRefused) {
  EXPECT_FALSE(client().RunPodSandbox(Pod("handler"), "no-such").ok());
  const auto status = client().Call<cri::StatusResponse>(cri::StatusRequest());
  ASSERT_TRUE(status.ok());
  for (const auto& handler : status->runtime_handlers()) {
    const auto id =
        client().RunPodSandbox(Pod("h" + handler.name()), handler.name());
    EXPECT_TRUE(id.ok()) << handler.name() << ": " << id.status();
  }
}

TEST_F(PodRequestsTest, EmptyIdsAreInvalidArguments) {
  EXPECT_CODE(client().StopPodSandbox(""), kInvalidArgument);
  EXPECT_CODE(client().RemovePodSandbox(""), kInvalidArgument);
  EXPECT_CODE(client().PodSandboxStatus("").status(), kInvalidArgument);
  EXPECT_CODE(client().InspectPodSandbox("").status(), kInvalidArgument);
  EXPECT_CODE(client()
                  .Call<cri::RunPodSandboxResponse>(cri::RunPodSandboxRequest())
                  .status(),
              kInvalidArgument);
}

TEST_F(PodRequestsTest, StrangeIdsAreNeverPaths) {
  for (const char* id : {"../../etc", "/", ".", "..", "a/b", "%s%n", "*"}) {
    const absl::Status status = client().PodSandboxStatus(id).status();
    EXPECT_TRUE(status.code() == absl::StatusCode::kNotFound ||
                status.code() == absl::StatusCode::kInvalidArgument)
        << id << ": " << status;
    EXPECT_NE(client().RemovePodSandbox(id).code(), absl::StatusCode::kInternal)
        << id;
  }
}

TEST_F(PodRequestsTest, ContainerPortsWithoutAHostPortAreFine) {
  cri::PodSandboxConfig config = Pod("ports");
  config.add_port_mappings()->set_container_port(80);
  EXPECT_FALSE(RunPod(config).empty());
}

}  // namespace
}  // namespace warren::test
