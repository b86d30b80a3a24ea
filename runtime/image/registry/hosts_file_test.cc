#include "runtime/image/registry/hosts_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "runtime/image/registry/testing/client_fixture.h"

namespace warren::registry {
namespace {

using ::testing::HasSubstr;

class HostsFileTest : public testing::ClientFixture {
 protected:
  std::vector<Endpoint> Hosts(const std::string& registry) {
    auto hosts = ReadEndpoints(options_.hosts_dir, registry);
    EXPECT_TRUE(hosts.ok()) << hosts.status();
    return hosts.ok() ? *std::move(hosts) : std::vector<Endpoint>(9);
  }
};

std::string ErrorOf(const std::string& toml) {
  return std::string(ParseHosts(toml, "/d", "r.example").status().message());
}

TEST_F(HostsFileTest, WithoutAFileItIsTheRegistry) {
  auto hosts = Hosts("docker.io");
  ASSERT_EQ(hosts.size(), 1);
  EXPECT_EQ(hosts[0].url.ToString(), "https://registry-1.docker.io/v2");
  EXPECT_TRUE(hosts[0].is_registry);
  EXPECT_FALSE(hosts[0].may_be_plain);
  hosts = Hosts("localhost:5000");
  EXPECT_EQ(hosts[0].url.ToString(), "https://localhost:5000/v2");
  EXPECT_TRUE(hosts[0].may_be_plain);
  EXPECT_TRUE(ReadEndpoints("", "[2001:db8::1]:5000").ok());
  EXPECT_TRUE(ReadEndpoints("/nonexistent", "r.example").ok());
}

TEST_F(HostsFileTest, MirrorsInTheOrderOfTheFile) {
  WriteHosts("docker.io", R"(
server = "https://docker.io"
unknown_key = 1
[host."https://z.example"]
  capabilities = ["pull", "resolve"]
[host."http://a.example:8080/base"]
  capabilities = "pull"
[host."m.example/own/prefix/"]
  override_path = true
  skip_verify = true
  capabilities = ["resolve", "push"]
  [host."m.example/own/prefix/".header]
    x-one = "1"
    x-two = ["2", "3"]
)");
  const auto hosts = Hosts("docker.io");
  ASSERT_EQ(hosts.size(), 4);
  EXPECT_EQ(hosts[0].url.ToString(), "https://z.example/v2");
  EXPECT_TRUE(hosts[0].pull && hosts[0].resolve);
  EXPECT_FALSE(hosts[0].is_registry);
  EXPECT_EQ(hosts[1].url.ToString(), "http://a.example:8080/base/v2");
  EXPECT_TRUE(hosts[1].pull && !hosts[1].resolve);
  EXPECT_EQ(hosts[2].url.ToString(), "https://m.example/own/prefix");
  EXPECT_TRUE(!hosts[2].pull && hosts[2].resolve);
  EXPECT_TRUE(hosts[2].tls.skip_verify);
  const Headers headers = {{"x-one", "1"}, {"x-two", "2"}, {"x-two", "3"}};
  EXPECT_EQ(hosts[2].headers, headers);
  EXPECT_EQ(hosts[3].url.ToString(), "https://registry-1.docker.io/v2");
  EXPECT_TRUE(hosts[3].is_registry);
  EXPECT_FALSE(hosts[3].tls.skip_verify);
}

TEST_F(HostsFileTest, TheRegistryAmongItsMirrorsIsTheRegistry) {
  const auto hosts = ParseHosts(
      "[host.\"https://r.example\"]\n[host.\"https://r.example.evil\"]\n"
      "[host.\"https://r.example:5000\"]\n",
      "/d", "r.example");
  ASSERT_TRUE(hosts.ok()) << hosts.status();
  EXPECT_TRUE((*hosts)[0].is_registry);
  EXPECT_FALSE((*hosts)[1].is_registry);
  EXPECT_FALSE((*hosts)[2].is_registry);
  EXPECT_TRUE((*hosts)[3].is_registry);
}

TEST_F(HostsFileTest, DirectoryNames) {
  const char toml[] = "server = \"http://found.example\"\n";
  WriteHosts("r.example_5000_", toml);
  EXPECT_EQ(Hosts("r.example:5000")[0].url.host, "found.example");
  EXPECT_EQ(Hosts("r.example")[0].url.host, "r.example");
  WriteHosts("s.example:5000", toml);
  EXPECT_EQ(Hosts("s.example:5000")[0].url.host, "found.example");
  WriteHosts("_default", "[host.\"https://all.example\"]\n");
  const auto hosts = Hosts("t.example:1");
  ASSERT_EQ(hosts.size(), 2);
  EXPECT_EQ(hosts[0].url.host, "all.example");
  EXPECT_EQ(hosts[1].url.ToString(), "https://t.example:1/v2");
  EXPECT_TRUE(hosts[1].is_registry);
}

TEST_F(HostsFileTest, IMG_5_OneServerForAllRegistriesIsNoneOfThem) {
  WriteHosts("_default", "server = \"https://cache.example\"\n");
  EXPECT_FALSE(Hosts("r.example")[0].is_registry);
  EXPECT_TRUE(Hosts("cache.example")[0].is_registry);
}

TEST_F(HostsFileTest, Certificates) {
  WriteHosts("r.example", R"(
ca = ["a.pem", "b.pem"]
client = [["c.cert", "c.key"], ["d.cert", "d.key"]]
[host."https://m.example"]
  ca = "a.pem"
  client = "/abs/both.pem"
)");
  WriteFile("r.example/a.pem", "AAA");
  WriteFile("r.example/b.pem", "BBB");
  auto hosts = Hosts("r.example");
  ASSERT_EQ(hosts.size(), 2);
  EXPECT_EQ(hosts[0].tls.ca_pem, "AAA\n");
  EXPECT_EQ(hosts[0].tls.client_cert, "/abs/both.pem");
  EXPECT_EQ(hosts[0].tls.client_key, "");
  EXPECT_EQ(hosts[1].tls.ca_pem, "AAA\nBBB\n");
  EXPECT_EQ(hosts[1].tls.client_cert, options_.hosts_dir + "/r.example/c.cert");
  EXPECT_EQ(hosts[1].tls.client_key, options_.hosts_dir + "/r.example/c.key");
}

TEST_F(HostsFileTest, DockersCertificateFiles) {
  WriteHosts("r.example", "");
  ASSERT_EQ(unlink((options_.hosts_dir + "/r.example/hosts.toml").c_str()), 0);
  WriteFile("r.example/ca.crt", "AAA");
  WriteFile("r.example/me.cert", "CCC");
  WriteFile("r.example/me.key", "KKK");
  const auto hosts = Hosts("r.example");
  ASSERT_EQ(hosts.size(), 1);
  EXPECT_EQ(hosts[0].tls.ca_pem, "AAA\n");
  EXPECT_EQ(hosts[0].tls.client_key, options_.hosts_dir + "/r.example/me.key");
}

TEST(HostsFileErrors, NameFileAndLineAndNoSecret) {
  EXPECT_THAT(ErrorOf("server = \n"), HasSubstr("/d/hosts.toml:1"));
  EXPECT_THAT(ErrorOf("\nserver = \"ftp://x\"\n"),
              HasSubstr("/d/hosts.toml:2"));
  EXPECT_THAT(ErrorOf("server = \"https://u:secret@x\"\n"),
              ::testing::Not(HasSubstr("secret")));
  EXPECT_THAT(ErrorOf("[host.\"https://u:secret@x\"]\n"),
              ::testing::AllOf(HasSubstr("/d/hosts.toml:1"),
                               ::testing::Not(HasSubstr("secret"))));
  EXPECT_THAT(ErrorOf("[header]\nauthorization = \"secret\\r\\nX: y\"\n"),
              ::testing::AllOf(HasSubstr("/d/hosts.toml:2"),
                               ::testing::Not(HasSubstr("secret"))));
  EXPECT_THAT(ErrorOf("capabilities = [\"fly\"]\n"), HasSubstr("unknown one"));
  EXPECT_THAT(ErrorOf("ca = \"/nonexistent/ca.pem\"\n"), HasSubstr("ca: "));
  for (const char* bad :
       {"ca = 1\n", "client = []\n", "client = [[\"a\",\"b\",\"c\"]]\n",
        "skip_verify = \"yes\"\n", "override_path = 1\nserver = \"x\"\n",
        "host = 1\n", "host.x = 1\n", "header = 1\n",
        "header.\"a b\" = \"c\"\n", "server = 5\n",
        "server = \"https://x?y\"\n", "capabilities = [1]\n"}) {
    EXPECT_THAT(ErrorOf(bad), HasSubstr("/d/hosts.toml:")) << bad;
  }
}

}  // namespace
}  // namespace warren::registry
