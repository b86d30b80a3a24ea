#include "runtime/image/registry/proxy.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace warren::registry {
namespace {

ProxySettings From(const std::map<std::string, std::string>& environment) {
  return ProxySettings::FromEnvironment([&](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

bool Proxied(const std::string& no_proxy, const std::string& url) {
  const ProxySettings settings =
      From({{"HTTPS_PROXY", "http://p:1"}, {"NO_PROXY", no_proxy}});
  return !settings.For(*ParseUrl(url)).empty();
}

TEST(RegistryProxy, EitherCase) {
  const ProxySettings capitals = From({{"HTTP_PROXY", "http://a:1"},
                                       {"HTTPS_PROXY", "http://b:2"},
                                       {"NO_PROXY", "x , y"}});
  EXPECT_EQ(capitals.http, "http://a:1");
  EXPECT_EQ(capitals.https, "http://b:2");
  EXPECT_EQ(capitals.no_proxy.size(), 2);
  const ProxySettings small =
      From({{"http_proxy", "http://a:1"}, {"https_proxy", "http://b:2"}});
  EXPECT_EQ(small.http, "http://a:1");
  EXPECT_EQ(small.For(*ParseUrl("https://r.example/")), "http://b:2");
  EXPECT_EQ(small.For(*ParseUrl("http://r.example/")), "http://a:1");
  EXPECT_TRUE(From({}).For(*ParseUrl("https://r.example/")).empty());
}

TEST(RegistryProxy, NoProxyRules) {
  EXPECT_TRUE(Proxied("", "https://r.corp/"));
  EXPECT_FALSE(Proxied("*", "https://r.corp/"));
  EXPECT_FALSE(Proxied("corp", "https://r.corp/"));
  EXPECT_FALSE(Proxied("r.corp", "https://r.corp/"));
  EXPECT_TRUE(Proxied("orp", "https://r.corp/"));
  EXPECT_FALSE(Proxied(".corp", "https://R.CORP/"));
  EXPECT_TRUE(Proxied(".corp", "https://corp/"));
  EXPECT_FALSE(Proxied("*.corp", "https://r.corp/"));
  EXPECT_TRUE(Proxied("*.corp", "https://corp/"));
  EXPECT_FALSE(Proxied("r.corp:5000", "https://r.corp:5000/"));
  EXPECT_TRUE(Proxied("r.corp:5000", "https://r.corp/"));
  EXPECT_FALSE(Proxied("a,b c,r.corp", "https://r.corp/"));
}

TEST(RegistryProxy, NoProxyRangesOfAddresses) {
  EXPECT_FALSE(Proxied("10.0.0.0/8", "https://10.1.2.3:5000/"));
  EXPECT_TRUE(Proxied("10.0.0.0/8", "https://11.1.2.3/"));
  EXPECT_FALSE(Proxied("192.168.4.0/22", "https://192.168.7.255/"));
  EXPECT_TRUE(Proxied("192.168.4.0/22", "https://192.168.8.0/"));
  EXPECT_FALSE(Proxied("2001:db8::/32", "https://[2001:db8::5]/"));
  EXPECT_TRUE(Proxied("2001:db8::/32", "https://[2001:db9::5]/"));
  EXPECT_FALSE(Proxied("[2001:db8::5]", "https://[2001:db8::5]/"));
  EXPECT_FALSE(Proxied("2001:db8::5", "https://[2001:db8::5]/"));
  EXPECT_FALSE(Proxied("[2001:db8::5]:5000", "https://[2001:db8::5]:5000/"));
  EXPECT_TRUE(Proxied("[2001:db8::5]:5000", "https://[2001:db8::5]/"));
  EXPECT_FALSE(Proxied("0.0.0.0/0", "https://8.8.8.8/"));
  EXPECT_TRUE(Proxied("10.0.0.0/8", "https://10.example/"));
  EXPECT_TRUE(Proxied("10.0.0.0/x, 10.0.0.0/99, /8, x/8", "https://10.1.2.3/"));
}

TEST(RegistryProxy, LoopbackIsNeverProxied) {
  EXPECT_FALSE(Proxied("", "https://localhost:5000/"));
  EXPECT_FALSE(Proxied("", "https://127.0.0.1/"));
  EXPECT_FALSE(Proxied("", "https://[::1]/"));
}

}  // namespace
}  // namespace warren::registry
