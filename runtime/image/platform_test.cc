#include "runtime/image/platform.h"

#include <gtest/gtest.h>

#include <string>

namespace warren::image {
namespace {

std::optional<int> Rank(const std::string& os, const std::string& arch,
                        const std::string& variant, const Platform& node) {
  return PlatformRank({os, arch, variant}, node);
}

TEST(Platform, SpellingsOfTheSame) {
  for (const Platform& spelling :
       {Platform{"linux", "amd64", ""}, Platform{"Linux", "x86_64", ""},
        Platform{"LINUX", "AMD64", "v1"}, Platform{" linux", "x86-64 ", "1"},
        Platform{"", "", ""}}) {
    EXPECT_EQ(PlatformRank(spelling, {"linux", "amd64", "v1"}), 10)
        << PlatformName(spelling);
  }
  EXPECT_EQ(Normalised({"linux", "aarch64", "8"}).architecture, "arm64");
  EXPECT_EQ(Normalised({"linux", "aarch64", "8"}).variant, "v8");
  EXPECT_EQ(Normalised({"linux", "armhf", ""}).variant, "v7");
  EXPECT_EQ(Normalised({"linux", "armel", ""}).variant, "v6");
  EXPECT_EQ(Normalised({"linux", "i686", ""}).architecture, "386");
}

TEST(Platform, OnlyWhatTheCpuCan) {
  const Platform v3 = {"linux", "amd64", "v3"};
  EXPECT_FALSE(Rank("linux", "amd64", "v4", v3).has_value());
  EXPECT_FALSE(Rank("linux", "amd64", "v9", v3).has_value());
  EXPECT_FALSE(Rank("linux", "amd64", "odd", v3).has_value());
  EXPECT_FALSE(Rank("linux", "amd64", "v", v3).has_value());
  EXPECT_FALSE(Rank("windows", "amd64", "", v3).has_value());
  EXPECT_FALSE(Rank("unknown", "unknown", "", v3).has_value());
  EXPECT_FALSE(Rank("linux", "arm64", "", v3).has_value());
  EXPECT_GT(Rank("linux", "amd64", "v3", v3), Rank("linux", "amd64", "v2", v3));
  EXPECT_GT(Rank("linux", "amd64", "v2", v3), Rank("linux", "amd64", "", v3));
  EXPECT_EQ(Rank("linux", "amd64", "v1", v3), Rank("linux", "amd64", "", v3));
  const Platform arm = {"linux", "arm", "v7"};
  EXPECT_GT(Rank("linux", "arm", "", arm), Rank("linux", "arm", "v6", arm));
  EXPECT_FALSE(Rank("linux", "arm", "v8", arm).has_value());
  const Platform arm64 = {"linux", "arm64", "v8.2"};
  EXPECT_GT(Rank("linux", "arm64", "v8.2", arm64),
            Rank("linux", "arm64", "v8", arm64));
  EXPECT_EQ(Rank("linux", "arm64", "v8", arm64),
            Rank("linux", "arm64", "", arm64));
  EXPECT_FALSE(Rank("linux", "arm64", "v9", arm64).has_value());
}

TEST(Platform, TheNodeRunsItself) {
  EXPECT_TRUE(PlatformRank(NodePlatform(), NodePlatform()).has_value());
  Platform lowest = NodePlatform();
  lowest.variant.clear();
  EXPECT_TRUE(PlatformRank(lowest, NodePlatform()).has_value());
  EXPECT_EQ(NodePlatform().os, "linux");
}

TEST(Platform, NamesArePrintable) {
  EXPECT_EQ(PlatformName({"linux", "arm64", "v8"}), "linux/arm64/v8");
  EXPECT_EQ(PlatformName({"", "", ""}), "?/?");
  EXPECT_EQ(PlatformName({"a\nb", "c", ""}), "a\\nb/c");
}

}  // namespace
}  // namespace warren::image
