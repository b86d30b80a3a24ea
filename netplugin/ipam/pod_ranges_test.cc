#include "netplugin/ipam/pod_ranges.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "netplugin/ip_testing.h"

namespace warren::netplugin {
namespace {

std::vector<IpPrefix> Prefixes(const std::vector<const char*>& texts) {
  std::vector<IpPrefix> prefixes;
  prefixes.reserve(texts.size());
  for (const char* text : texts) prefixes.push_back(Prefix(text));
  return prefixes;
}

TEST(PodRanges, OneOfEachFamilyIsGood) {
  for (const auto& good :
       std::vector<std::vector<const char*>>{{"10.88.0.0/16"},
                                             {"fd00::/64"},
                                             {"10.88.0.0/16", "fd00::/64"},
                                             {"fd00::/112", "192.168.1.0/30"},
                                             {"100.64.0.0/10"},
                                             {"2001:db8::/126"}}) {
    EXPECT_TRUE(ValidateRanges(Prefixes(good)).ok())
        << ValidateRanges(Prefixes(good));
  }
}

TEST(PodRanges, TheRestIsNot) {
  for (const auto& bad : std::vector<std::vector<const char*>>{
           {},
           {"10.88.0.0/16", "10.89.0.0/16"},
           {"fd00::/64", "fd01::/64"},
           {"10.88.0.0/16", "fd00::/64", "10.89.0.0/16"},
           {"10.88.0.1/16"},
           {"10.88.0.0/31"},
           {"fd00::/127"},
           {"0.0.0.0/0"},
           {"::/0"},
           {"127.0.0.0/16"},
           {"169.254.0.0/24"},
           {"224.0.0.0/24"},
           {"240.0.0.0/24"},
           {"fe80::/64"},
           {"ff00::/64"},
           {"::/96"}}) {
    const absl::Status status = ValidateRanges(Prefixes(bad));
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(ValidateRanges({IpPrefix()})));
}

TEST(PodRanges, ClashIsAnyOverlapButTheDefaultRoute) {
  const auto used = Prefixes({"0.0.0.0/0", "192.168.0.0/16", "10.1.2.3/32"});
  EXPECT_EQ(FindClash(Prefix("10.0.0.0/8"), used), Prefix("10.1.2.3/32"));
  EXPECT_EQ(FindClash(Prefix("192.168.7.0/24"), used),
            Prefix("192.168.0.0/16"));
  EXPECT_EQ(FindClash(Prefix("10.88.0.0/16"), used), std::nullopt);
  EXPECT_EQ(FindClash(Prefix("fd00::/64"), used), std::nullopt);
}

TEST(PodRanges, SuggestsTheFirstFreeOfTheSameSize) {
  EXPECT_EQ(SuggestFreeRange(Prefix("192.0.0.0/16"), {}),
            Prefix("10.0.0.0/16"));
  EXPECT_EQ(SuggestFreeRange(Prefix("192.0.0.0/16"),
                             Prefixes({"10.0.0.0/15", "10.2.3.0/24"})),
            Prefix("10.3.0.0/16"));
  EXPECT_EQ(SuggestFreeRange(Prefix("192.0.0.0/16"), Prefixes({"10.0.0.0/8"})),
            Prefix("172.16.0.0/16"));
  EXPECT_EQ(SuggestFreeRange(Prefix("192.0.0.0/16"),
                             Prefixes({"10.0.0.0/8", "172.16.0.0/12"})),
            Prefix("192.168.0.0/16"));
  EXPECT_EQ(SuggestFreeRange(Prefix("2001:db8::/64"), Prefixes({"fd00::/64"})),
            Prefix("fd00:0:0:1::/64"));
}

TEST(PodRanges, NoSuggestionWhenNothingIsFree) {
  EXPECT_EQ(SuggestFreeRange(
                Prefix("11.0.0.0/16"),
                Prefixes({"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"})),
            std::nullopt);
}

}  // namespace
}  // namespace warren::netplugin
