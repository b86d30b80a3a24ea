#include "runtime/image/reference.h"

#include <gtest/gtest.h>

#include <string>

namespace warren::image {
namespace {

const std::string kHex(64, 'a');
const std::string kDigest = "sha256:" + kHex;

struct Good {
  std::string in;
  std::string out;
};

TEST(Reference, NormalForms) {
  const Good table[] = {
      {"busybox", "docker.io/library/busybox:latest"},
      {"busybox:1.36", "docker.io/library/busybox:1.36"},
      {"library/busybox", "docker.io/library/busybox:latest"},
      {"someone/app", "docker.io/someone/app:latest"},
      {"someone/app:v1", "docker.io/someone/app:v1"},
      {"a/b/c", "docker.io/a/b/c:latest"},
      {"docker.io/busybox", "docker.io/library/busybox:latest"},
      {"docker.io/library/busybox", "docker.io/library/busybox:latest"},
      {"docker.io/someone/app", "docker.io/someone/app:latest"},
      {"index.docker.io/busybox:1", "docker.io/library/busybox:1"},
      {"localhost/app", "localhost/app:latest"},
      {"localhost:5000/app", "localhost:5000/app:latest"},
      {"localhost", "docker.io/library/localhost:latest"},
      {"localhost:5000", "docker.io/library/localhost:5000"},
      {"warren.local/busybox:latest", "warren.local/busybox:latest"},
      {"example.com/app", "example.com/app:latest"},
      {"example.com:443/a/b:t", "example.com:443/a/b:t"},
      {"EXAMPLE.com/app", "EXAMPLE.com/app:latest"},
      {"127.0.0.1:5000/app:x", "127.0.0.1:5000/app:x"},
      {"[::1]:5000/app", "[::1]:5000/app:latest"},
      {"[fd00::a]/app", "[fd00::a]/app:latest"},
      {"foo:5000/app", "foo:5000/app:latest"},
      {"a", "docker.io/library/a:latest"},
      {"0", "docker.io/library/0:latest"},
      {"a.b", "docker.io/library/a.b:latest"},
      {"a_b", "docker.io/library/a_b:latest"},
      {"a__b", "docker.io/library/a__b:latest"},
      {"a-b", "docker.io/library/a-b:latest"},
      {"a----b", "docker.io/library/a----b:latest"},
      {"a:_", "docker.io/library/a:_"},
      {"a:V1.2-rc_3", "docker.io/library/a:V1.2-rc_3"},
      {"a:" + std::string(128, 't'),
       "docker.io/library/a:" + std::string(128, 't')},
      {"a@" + kDigest, "docker.io/library/a@" + kDigest},
      {"a:tag@" + kDigest, "docker.io/library/a@" + kDigest},
      {"example.com:1/a:tag@" + kDigest, "example.com:1/a@" + kDigest},
      {"sha256:" + std::string(12, 'b'),
       "docker.io/library/sha256:" + std::string(12, 'b')},
      {"deadbeef", "docker.io/library/deadbeef:latest"},
      {std::string(63, 'a'),
       "docker.io/library/" + std::string(63, 'a') + ":latest"},
      {"x/" + kHex, "docker.io/x/" + kHex + ":latest"},
  };
  for (const Good& row : table) {
    const auto reference = ParseReference(row.in);
    ASSERT_TRUE(reference.ok()) << row.in << ": " << reference.status();
    EXPECT_EQ(reference->ToString(), row.out) << row.in;
    EXPECT_NE(reference->tag.empty(), !reference->digest.has_value());
    // Normal forms are fixed points.
    const auto again = ParseReference(reference->ToString());
    ASSERT_TRUE(again.ok()) << reference->ToString();
    EXPECT_EQ(*again, *reference);
  }
}

TEST(Reference, Refused) {
  const std::string table[] = {"",
                               " ",
                               ":",
                               "@",
                               "/",
                               "//",
                               ".",
                               "..",
                               "-",
                               "_",
                               "a/",
                               "/a",
                               "a//b",
                               "a:",
                               "a:.b",
                               "a:-b",
                               "a:" + std::string(129, 't'),
                               "a:b:c",
                               "a:b/c:d:e",
                               "A",
                               "Foo/bar",
                               "docker.io/Foo",
                               "a b",
                               "a\n",
                               "a\tb",
                               "a\r",
                               std::string("a\0b", 3),
                               std::string("a:\0", 3),
                               "a..b",
                               "a.",
                               ".a",
                               "a._b",
                               "a___b",
                               "a-",
                               "-a",
                               "a_",
                               "_a",
                               "a/./b",
                               "a/../b",
                               "../a",
                               "a@",
                               "a@sha256",
                               "a@sha256:",
                               "a@sha256:" + kHex.substr(1),
                               "a@sha256:" + kHex + "a",
                               "a@sha256:" + std::string(64, 'A'),
                               "a@md5:" + kHex,
                               "a@sha512:" + kHex + kHex,
                               "a@" + kDigest + "@" + kDigest,
                               "a@" + kDigest + ":tag",
                               "@" + kDigest,
                               ":tag@" + kDigest,
                               kHex,
                               kHex + ":tag",
                               "http://example.com/a",
                               "example.com:/a",
                               "example.com:port/a",
                               "example.com:123456/a",
                               "exa_mple.com/a",
                               "-example.com/a",
                               "example-.com/a",
                               "example..com/a",
                               ".com/a",
                               "example.com./a",
                               "[::1/a",
                               "[]/a",
                               "[::1]x/a",
                               "[::1]:/a",
                               "[g::]/a",
                               "example.com/",
                               "example.com//a",
                               "user@example.com/a",
                               "a%2fb",
                               "a\\b",
                               "a?b",
                               "a#b",
                               "\xc3\xa9",
                               "a\xff",
                               std::string(300, 'a'),
                               "example.com/" + std::string(250, 'a'),
                               std::string(100000, 'a'),
                               "a/b:c/d"};
  for (const std::string& bad : table) {
    const auto reference = ParseReference(bad);
    EXPECT_EQ(reference.status().code(), absl::StatusCode::kInvalidArgument)
        << "accepted: " << bad.substr(0, 80);
    EXPECT_LT(reference.status().message().size(), 200u);
  }
}

// Whatever the bytes, the answer is a fixed point or an error.
TEST(Reference, MutationsNeverBreakIt) {
  const std::string seed = "example.com:443/a__b/c-d:V1@" + kDigest;
  uint32_t random = 1;
  for (int i = 0; i < 20000; ++i) {
    std::string text = seed;
    for (int m = 0; m < 3; ++m) {
      random = random * 1664525u + 1013904223u;
      const size_t at = (random >> 8) % text.size();
      if ((random & 1) != 0) {
        text[at] = static_cast<char>(random >> 16);
      } else {
        text.erase(at, (random >> 20) % 40);
        if (text.empty()) text = "a";
      }
    }
    const auto reference = ParseReference(text);
    if (!reference.ok()) continue;
    const auto again = ParseReference(reference->ToString());
    ASSERT_TRUE(again.ok()) << text;
    EXPECT_EQ(*again, *reference);
  }
}

}  // namespace
}  // namespace warren::image
