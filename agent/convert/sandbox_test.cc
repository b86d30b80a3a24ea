#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "agent/convert/convert.h"

namespace warren::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::StartsWith;

constexpr char kGood[] =
    "metadata { name: 'web' uid: 'u-1' namespace: 'default' } "
    "hostname: 'web-0' ";
const std::string kSandboxId = "0123456789abcdef" + std::string(48, '0');

HostFacts Host() {
  return {"node-1", "nameserver 9.9.9.9\n", "127.0.0.1 localhost\n",
          100'000'000'000};
}

absl::StatusOr<runtime::SandboxSpec> Convert(const std::string& text) {
  cri::PodSandboxConfig config;
  if (!google::protobuf::TextFormat::ParseFromString(text, &config)) {
    ADD_FAILURE() << "bad test text: " << text;
  }
  return ConvertSandbox(kSandboxId, config, Host());
}

absl::StatusOr<runtime::SandboxSpec> Linux(const std::string& text) {
  return Convert(absl::StrCat(kGood, "linux { ", text, " }"));
}

absl::StatusOr<runtime::SandboxSpec> Namespaces(const std::string& text) {
  return Linux("security_context { namespace_options { " + text + " } }");
}

std::string Error(const absl::StatusOr<runtime::SandboxSpec>& result) {
  return std::string(result.status().message());
}

TEST(ConvertSandbox, PlainPod) {
  const auto spec = Convert(kGood);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->id, kSandboxId);
  EXPECT_EQ(spec->hostname, "web-0");
  EXPECT_EQ(spec->network, runtime::NamespaceMode::kPod);
  EXPECT_EQ(spec->ipc, runtime::NamespaceMode::kPod);
  EXPECT_EQ(spec->pid, runtime::NamespaceMode::kPod);
  EXPECT_EQ(spec->resolv_conf, "nameserver 9.9.9.9\n");
  EXPECT_EQ(spec->hosts, "127.0.0.1 localhost\n");
  EXPECT_FALSE(spec->time_offsets_requested);
  EXPECT_THAT(spec->sysctls,
              ElementsAre(Pair("net.ipv4.ip_unprivileged_port_start", "0"),
                          Pair("net.ipv4.ping_group_range", "0 2147483647")));
}

TEST(ConvertSandbox, MetadataIsRequired) {
  EXPECT_THAT(Error(Convert("metadata { uid: 'u' namespace: 'n' }")),
              StartsWith("config.metadata.name: "));
  EXPECT_THAT(Error(Convert("metadata { name: 'n' namespace: 'n' }")),
              StartsWith("config.metadata.uid: "));
  EXPECT_THAT(Error(Convert("metadata { name: 'n' uid: 'u' }")),
              StartsWith("config.metadata.namespace: "));
  EXPECT_THAT(
      Error(Convert("metadata { name: 'a\\nb' uid: 'u' namespace: 'n' }")),
      StartsWith("config.metadata.name: "));
}

TEST(ConvertSandbox, Hostname) {
  const std::string bare =
      "metadata { name: 'web' uid: 'u-1' namespace: 'default' } ";
  EXPECT_EQ(Convert(bare)->hostname, "0123456789ab");
  EXPECT_EQ(Convert(bare + "linux { security_context { namespace_options { "
                           "network: NODE } } }")
                ->hostname,
            "node-1");
  EXPECT_THAT(Error(Convert(bare + "hostname: 'a b'")),
              StartsWith("config.hostname: "));
}

TEST(ConvertSandbox, ItsOwnNameIsInItsHostsFile) {
  runtime::SandboxSpec spec = *Convert(kGood);
  spec.hosts = "127.0.0.1 localhost";  // no end of line
  AddOwnName({*netplugin::IpPrefix::Parse("10.1.0.7/16"),
              *netplugin::IpPrefix::Parse("fd00:1::7/64")},
             &spec);
  EXPECT_EQ(spec.hosts,
            "127.0.0.1 localhost\n10.1.0.7\tweb-0\nfd00:1::7\tweb-0\n");
}

TEST(ConvertSandbox, ResolvConf) {
  EXPECT_EQ(Convert(absl::StrCat(kGood,
                                 "dns_config { servers: '10.0.0.10' "
                                 "servers: 'fd00::a' searches: 'a.b' "
                                 "searches: 'c' options: 'ndots:5' }"))
                ->resolv_conf,
            "search a.b c\nnameserver 10.0.0.10\nnameserver fd00::a\n"
            "options ndots:5\n");
  EXPECT_EQ(Convert(absl::StrCat(kGood, "dns_config { }"))->resolv_conf, "");
  for (const char* bad :
       {"servers: 'dns.example'", "servers: ''", "servers: '1.1.1.1\\n'",
        "searches: 'a b'", "searches: ''", "options: 'a\\nb'"}) {
    EXPECT_THAT(Error(Convert(absl::StrCat(kGood, "dns_config { ", bad, " }"))),
                StartsWith("config.dns_config."))
        << bad;
  }
}

TEST(ConvertSandbox, NamespaceModes) {
  using enum runtime::NamespaceMode;
  const auto host = Namespaces("network: NODE ipc: NODE pid: NODE");
  ASSERT_TRUE(host.ok());
  EXPECT_EQ(host->network, kHost);
  EXPECT_EQ(host->ipc, kHost);
  EXPECT_EQ(host->pid, kHost);
  EXPECT_THAT(host->sysctls, IsEmpty());
  EXPECT_EQ(Namespaces("pid: CONTAINER")->pid, kContainer);
  EXPECT_THAT(Error(Namespaces("network: CONTAINER")),
              HasSubstr("namespace_options.network: "));
  EXPECT_THAT(Error(Namespaces("ipc: TARGET")),
              HasSubstr("namespace_options.ipc: "));
  EXPECT_THAT(Error(Namespaces("target_id: 'abc'")),
              HasSubstr("namespace_options.target_id: "));
  EXPECT_THAT(Error(Namespaces("pid: TARGET")),
              HasSubstr("namespace_options.pid: "));
}

constexpr char kMap[] = "{ host_id: 65536 container_id: 0 length: 65536 } ";

TEST(ConvertSandbox, UserNamespaceRules) {
  const auto user = [](const std::string& text) {
    return Namespaces("userns_options { " + text + " }");
  };
  const std::string uids = absl::StrCat("uids ", kMap),
                    gids = absl::StrCat("gids ", kMap);
  const auto good = user("mode: POD " + uids + gids);
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_THAT(good->uid_mappings,
              ElementsAre(runtime::IdMapping{0, 65536, 65536}));
  EXPECT_TRUE(user("mode: NODE")->uid_mappings.empty());
  EXPECT_THAT(Error(Namespaces("pid: NODE userns_options { mode: POD " + uids +
                               gids + " }")),
              HasSubstr("namespace_options.pid: "));
  for (const std::string& bad :
       {"mode: NODE " + uids, "mode: NODE " + gids, std::string("mode: POD"),
        "mode: POD " + uids, "mode: POD " + gids,
        "mode: POD " + uids + uids + gids,
        "mode: POD uids { host_id: 1 container_id: 0 length: 0 } " + gids,
        "mode: POD uids { host_id: 1 container_id: 1 length: 5 } " + gids,
        "mode: POD uids { host_id: 4294967295 length: 2 } " + gids,
        "mode: CONTAINER " + uids + gids, "mode: TARGET " + uids + gids}) {
    EXPECT_THAT(Error(user(bad)), HasSubstr("namespace_options.userns_options"))
        << bad;
  }
}

// Rows are {first host id of uids, of gids, what the error names}.
TEST(ConvertSandbox, EXE_5_IdsOfTheNodeItselfAreNotGivenAway) {
  const struct {
    uint32_t uid, gid;
    const char* field;
  } kTable[] = {{0, 65536, "uids"},      {1000, 65536, "uids"},
                {65535, 65536, "uids"},  {65536, 0, "gids"},
                {65536, 65535, "gids"},  {65536, 65536, nullptr},
                {131072, 65536, nullptr}};
  HostFacts host = Host();
  for (const auto& [uid, gid, field] : kTable) {
    cri::PodSandboxConfig config;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
        absl::StrCat(kGood,
                     "linux { security_context { namespace_options { "
                     "userns_options { mode: POD uids { host_id: ",
                     uid, " length: 10 } gids { host_id: ", gid,
                     " length: 10 } } } } }"),
        &config));
    host.policy.userns_min_host_id = 65536;
    const auto spec = ConvertSandbox(kSandboxId, config, host);
    if (field == nullptr) {
      EXPECT_TRUE(spec.ok()) << spec.status();
    } else {
      EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(Error(spec), HasSubstr(absl::StrCat("userns_options.", field,
                                                      ": host id ")));
    }
    host.policy.userns_min_host_id = 0;  // the operator allowed it
    EXPECT_TRUE(ConvertSandbox(kSandboxId, config, host).ok());
  }
}

TEST(ConvertSandbox, GrantedIdsAreForWhoSaysNothing) {
  const runtime::IdMapping granted = {0, 1u << 20, 65536};
  const auto parse = [](const std::string& context) {
    cri::PodSandboxConfig config;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        absl::StrCat(kGood, "linux { security_context { ", context, " } }"),
        &config));
    return config;
  };
  for (const char* silent : {"", "namespace_options { pid: CONTAINER }"}) {
    const cri::PodSandboxConfig config = parse(silent);
    EXPECT_TRUE(CanBeGrantedIds(config)) << silent;
    const auto spec = ConvertSandbox(kSandboxId, config, Host(), granted);
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_THAT(spec->uid_mappings, ElementsAre(granted));
    EXPECT_THAT(spec->gid_mappings, ElementsAre(granted));
    EXPECT_EQ(spec->sysctls.size(), 2u);
  }
  EXPECT_TRUE(CanBeGrantedIds(cri::PodSandboxConfig()));
  const cri::PodSandboxConfig says =
      parse("namespace_options { userns_options { mode: NODE } }");
  EXPECT_FALSE(CanBeGrantedIds(says));
  EXPECT_THAT(ConvertSandbox(kSandboxId, says, Host(), granted)->uid_mappings,
              IsEmpty());
  for (const char* shares :
       {"namespace_options { network: NODE }",
        "namespace_options { ipc: NODE }", "namespace_options { pid: NODE }",
        "privileged: true"}) {
    EXPECT_FALSE(CanBeGrantedIds(parse(shares))) << shares;
  }
}

TEST(ConvertSandbox, TimeOffsets) {
  const auto with = [](const char* key, const char* value) {
    return Convert(absl::StrCat(kGood, "annotations { key: '", key,
                                "' value: '", value, "' }"));
  };
  const auto spec = with("warren.dev/time-offset.boottime", "-1.5");
  EXPECT_EQ(spec->time_offsets.boottime_ns, -1'500'000'000);
  EXPECT_TRUE(spec->time_offsets_requested);
  EXPECT_EQ(
      with("warren.dev/time-offset.monotonic", "60")->time_offsets.monotonic_ns,
      60'000'000'000);
  EXPECT_THAT(Error(with("warren.dev/time-offset.boottime", "soon")),
              HasSubstr("warren.dev/time-offset.boottime"));
  EXPECT_THAT(Error(with("warren.dev/time-offset.boottime", "-101")),
              HasSubstr("before zero"));
  // IMG-6: a key that is not exactly ours has no effect.
  EXPECT_FALSE(
      with("warren.dev/time-offset.boottimes", "x")->time_offsets_requested);
}

TEST(ConvertSandbox, Ports) {
  const auto port = [](const std::string& text) {
    return Convert(absl::StrCat(kGood, "port_mappings { ", text, " }"));
  };
  EXPECT_TRUE(port("container_port: 80").ok());
  EXPECT_TRUE(port("container_port: 80 host_port: -1").ok());
  EXPECT_EQ(port("container_port: 80 host_port: 80").status().code(),
            absl::StatusCode::kUnimplemented);
  EXPECT_THAT(Error(port("container_port: 80 host_port: 80")),
              StartsWith("config.port_mappings[0].host_port: "));
  EXPECT_THAT(Error(port("container_port: 70000")),
              StartsWith("config.port_mappings[0].container_port: "));
  EXPECT_THAT(Error(port("host_ip: 'x'")),
              StartsWith("config.port_mappings[0].host_ip: "));
  // The node's network: nothing to map.
  EXPECT_TRUE(Convert(absl::StrCat(kGood,
                                   "port_mappings { host_port: 80 } linux { "
                                   "security_context { namespace_options { "
                                   "network: NODE } } }"))
                  .ok());
}

TEST(ConvertSandbox, CgroupParents) {
  const auto parent = [](const std::string& text) {
    return Linux("cgroup_parent: '" + text + "'");
  };
  EXPECT_EQ(parent("")->cgroup_parent, "");
  EXPECT_EQ(parent("/kubepods/pod1/")->cgroup_parent, "/kubepods/pod1");
  EXPECT_EQ(parent("a/b")->cgroup_parent, "/a/b");
  EXPECT_EQ(parent("kubepods-pod1.slice")->cgroup_parent,
            "kubepods-pod1.slice");
  EXPECT_EQ(parent("/kubepods.slice/kubepods-x.slice")->cgroup_parent,
            "/kubepods.slice/kubepods-x.slice");
  for (const char* bad :
       {"/", "/..", "../x", "/a/../../b", "/a\\nb", "..", "./x.slice"}) {
    EXPECT_THAT(Error(parent(bad)), StartsWith("config.linux.cgroup_parent: "))
        << bad;
  }
}

TEST(ConvertSandbox, LogDirectory) {
  EXPECT_TRUE(Convert(absl::StrCat(kGood, "log_directory: '/a/b'")).ok());
  for (const char* bad : {"a/b", "/a/../b", "/a\\rb"}) {
    EXPECT_THAT(
        Error(Convert(absl::StrCat(kGood, "log_directory: '", bad, "'"))),
        StartsWith("config.log_directory: "));
  }
}

TEST(ConvertSandbox, SecurityContextIsNeverLoosenedInSilence) {
  using enum absl::StatusCode;
  const struct {
    const char* text;
    absl::StatusCode code;
    const char* field;
  } cases[] = {
      {"apparmor { profile_type: Unconfined }", kOk, ""},
      {"apparmor { profile_type: RuntimeDefault }", kFailedPrecondition,
       "apparmor"},
      {"selinux_options { }", kOk, ""},
      {"selinux_options { level: 's0:c1,c2' }", kFailedPrecondition,
       "selinux_options"},
      {"selinux_options { level: 'x' }", kInvalidArgument,
       "selinux_options.level"},
      {"run_as_group { value: 1 }", kInvalidArgument, "run_as_group"},
      {"run_as_user { value: -1 }", kInvalidArgument, "run_as_user"},
      {"run_as_user { value: 1 } run_as_group { value: 1 }", kOk, ""},
      {"supplemental_groups: 4294967296", kInvalidArgument,
       "supplemental_groups"},
  };
  for (const auto& c : cases) {
    const auto result =
        Linux(absl::StrCat("security_context { ", c.text, " }"));
    EXPECT_EQ(result.status().code(), c.code) << c.text << result.status();
    EXPECT_THAT(Error(result), HasSubstr(c.field));
  }
}

TEST(ConvertSandbox, RuntimeHandlers) {
  EXPECT_TRUE(CheckRuntimeHandler("f", "").ok());
  EXPECT_TRUE(CheckRuntimeHandler("f", "warren").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(CheckRuntimeHandler("f", "kata")));
}

}  // namespace
}  // namespace warren::agent
