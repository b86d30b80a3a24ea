#include "runtime/image/registry/url.h"

#include <gtest/gtest.h>

#include <string>

namespace warren::registry {
namespace {

std::string Parsed(absl::string_view text) {
  const auto url = ParseUrl(text);
  return url.ok() ? url->ToString() : std::string(url.status().message());
}

std::string Resolved(absl::string_view base, absl::string_view reference) {
  const auto url = ResolveUrl(*ParseUrl(base), reference);
  return url.ok() ? url->ToString() : std::string(url.status().message());
}

TEST(RegistryUrl, KeepsPathAndQueryByteForByte) {
  const std::string signed_url =
      "https://blobs.example/a//b/../%2F?x=%2f&sig=a+b%3D;~=&e";
  EXPECT_EQ(Parsed(signed_url), signed_url);
  EXPECT_EQ(Parsed("HTTPS://Host.Example:443?q"), "https://host.example/?q");
  EXPECT_EQ(Parsed("http://host:80/x#y"), "http://host/x");
  EXPECT_EQ(Parsed("https://[2001:DB8::1]:5000/v2"),
            "https://[2001:db8::1]:5000/v2");
}

TEST(RegistryUrl, IMG_5_NoCredentialsInAnAddress) {
  for (const char* bad : {"https://user:secret@host/", "https://user@host/",
                          "https://host\\@evil/", "https://host:1@evil/"}) {
    EXPECT_FALSE(ParseUrl(bad).ok()) << bad;
    EXPECT_EQ(Parsed(bad).find("secret"), std::string::npos);
  }
}

TEST(RegistryUrl, RefusesWhatIsNone) {
  for (const char* bad :
       {"", "host", "ftp://host/", "file:///etc/passwd", "https:/host",
        "https://", "https:///x", "https://host:0/", "https://host:65536/",
        "https://host:-1/", "https://host:1:2/", "https://[::1/",
        "https://[host]/", "https://ho st/", "https://host/a\r\nX: y",
        "https://h\xc3\xb6st/", "https://host/\x7f"}) {
    EXPECT_FALSE(ParseUrl(bad).ok()) << bad;
  }
  EXPECT_FALSE(ParseUrl("https://h/" + std::string(16 << 10, 'x')).ok());
}

TEST(RegistryUrl, ResolvesLocations) {
  const char base[] = "https://host:5000/v2/app/blobs/x?ns=y";
  EXPECT_EQ(Resolved(base, "http://other/z?a=%2F"), "http://other/z?a=%2F");
  EXPECT_EQ(Resolved(base, "//other/z"), "https://other/z");
  EXPECT_EQ(Resolved(base, "/data/../z?q"), "https://host:5000/data/../z?q");
  EXPECT_EQ(Resolved(base, "z?q=/../"),
            "https://host:5000/v2/app/blobs/z?q=/../");
  EXPECT_EQ(Resolved(base, "../../z"), "https://host:5000/v2/z");
  EXPECT_EQ(Resolved(base, "../../../../../z"), "https://host:5000/z");
  EXPECT_EQ(Resolved(base, "?q"), "https://host:5000/v2/app/blobs/x?q");
  EXPECT_EQ(Resolved(base, "./"), "https://host:5000/v2/app/blobs/");
  EXPECT_FALSE(ResolveUrl(*ParseUrl(base), "javascript:x").ok());
  EXPECT_FALSE(ResolveUrl(*ParseUrl(base), "//u:p@other/").ok());
}

TEST(RegistryUrl, Loopback) {
  for (const char* host :
       {"localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host : {"", "localhost.example", "128.0.0.1", "::2",
                           "127.0.0.1.nip.example", "10.0.0.1"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

TEST(RegistryUrl, Encodes) {
  EXPECT_EQ(PercentEncode("a-._~Z9"), "a-._~Z9");
  EXPECT_EQ(PercentEncode("repository:a/b:pull ?&=+%"),
            "repository%3Aa%2Fb%3Apull%20%3F%26%3D%2B%25");
}

}  // namespace
}  // namespace warren::registry
