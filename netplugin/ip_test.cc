#include "netplugin/ip.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "netplugin/ip_testing.h"

namespace warren::netplugin {
namespace {

TEST(IpAddress, ParsesAndPrintsBothFamilies) {
  EXPECT_EQ(Address("10.0.0.1").ToString(), "10.0.0.1");
  EXPECT_EQ(Address("10.0.0.1").family(), AF_INET);
  EXPECT_EQ(Address("FD00:0::1").ToString(), "fd00::1");
  EXPECT_EQ(Address("fd00::1").size(), 16);
  EXPECT_EQ(IpAddress().ToString(), "none");
}

TEST(IpAddress, RefusesEverythingElse) {
  for (const absl::string_view text :
       {absl::string_view(""), absl::string_view("10.0.0"),
        absl::string_view("10.0.0.256"), absl::string_view(" 10.0.0.1"),
        absl::string_view("10.0.0.1\0", 9), absl::string_view("fe80::1%lo"),
        absl::string_view("010.0.0.1"), absl::string_view("::1::"),
        absl::string_view("a.very.long.name.that.is.no.address.of.any.kind")}) {
    EXPECT_TRUE(absl::IsInvalidArgument(IpAddress::Parse(text).status()))
        << text;
  }
}

TEST(IpAddress, PlusCarriesAndWraps) {
  EXPECT_EQ(Address("10.0.0.255").Plus(1), Address("10.0.1.0"));
  EXPECT_EQ(Address("10.255.255.255").Plus(2), Address("11.0.0.1"));
  EXPECT_EQ(Address("255.255.255.255").Plus(1), Address("0.0.0.0"));
  EXPECT_EQ(Address("fd00::ffff:ffff:ffff:ffff").Plus(1),
            Address("fd00:0:0:1::"));
  EXPECT_EQ(Address("fd00::").Plus(~uint64_t{0}),
            Address("fd00::ffff:ffff:ffff:ffff"));
}

TEST(IpPrefix, ParsesWithItsHostBits) {
  EXPECT_EQ(Prefix("10.1.2.3/16").ToString(), "10.1.2.3/16");
  EXPECT_EQ(Prefix("10.1.2.3/16").Masked().ToString(), "10.1.0.0/16");
  EXPECT_EQ(Prefix("fd00:1:2:3:4::/56").Masked().ToString(), "fd00:1:2::/56");
  EXPECT_EQ(Prefix("10.1.2.3/0").Masked().ToString(), "0.0.0.0/0");
  EXPECT_EQ(Prefix("10.1.2.3/13").Masked().ToString(), "10.0.0.0/13");
  EXPECT_EQ(Prefix("10.1.2.3/32").Masked().ToString(), "10.1.2.3/32");
}

TEST(IpPrefix, RefusesBadLengths) {
  for (const char* text :
       {"10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+1",
        "10.0.0.0/ 8", "10.0.0.0/8/8", "fd00::/129", "/8", "x/8"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(IpPrefix::Parse(text).status()))
        << text;
  }
}

TEST(IpPrefix, ContainsAndOverlaps) {
  EXPECT_TRUE(Prefix("10.0.0.0/8").Contains(Address("10.255.0.1")));
  EXPECT_FALSE(Prefix("10.0.0.0/8").Contains(Address("11.0.0.1")));
  EXPECT_FALSE(Prefix("0.0.0.0/0").Contains(Address("::1")));
  EXPECT_TRUE(Prefix("10.0.0.0/8").Overlaps(Prefix("10.3.0.0/16")));
  EXPECT_TRUE(Prefix("10.3.0.0/16").Overlaps(Prefix("10.0.0.0/8")));
  EXPECT_FALSE(Prefix("10.3.0.0/16").Overlaps(Prefix("10.4.0.0/16")));
  EXPECT_FALSE(Prefix("::/0").Overlaps(Prefix("0.0.0.0/0")));
}

TEST(IpPrefix, EndIsTheFirstAddressBehind) {
  EXPECT_EQ(Prefix("10.1.2.3/16").End(), Address("10.2.0.0"));
  EXPECT_EQ(Prefix("10.1.2.0/31").End(), Address("10.1.2.2"));
  EXPECT_EQ(Prefix("10.1.2.255/32").End(), Address("10.1.3.0"));
  EXPECT_EQ(Prefix("172.16.0.0/12").End(), Address("172.32.0.0"));
  EXPECT_EQ(Prefix("255.0.0.0/8").End(), Address("0.0.0.0"));
  EXPECT_EQ(Prefix("0.0.0.0/0").End(), Address("0.0.0.0"));
  EXPECT_EQ(Prefix("fd88::/64").End(), Address("fd88:0:0:1::"));
  EXPECT_EQ(Prefix("fd88::/48").End(), Address("fd88:0:1::"));
  EXPECT_EQ(Prefix("fd88::/15").End(), Address("fd8a::"));
}

}  // namespace
}  // namespace warren::netplugin
