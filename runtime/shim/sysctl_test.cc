#include "runtime/shim/sysctl.h"

#include <gtest/gtest.h>

namespace warren::shim {
namespace {

TEST(SysctlPath, MapsDotsAndKeepsInterfaceNames) {
  EXPECT_EQ(SysctlPath("net.ipv4.ip_forward"), "sys/net/ipv4/ip_forward");
  EXPECT_EQ(SysctlPath("net/ipv4/ip_forward"), "sys/net/ipv4/ip_forward");
  EXPECT_EQ(SysctlPath("net.ipv4.conf.eth0/1.forwarding"),
            "sys/net/ipv4/conf/eth0.1/forwarding");
  EXPECT_EQ(SysctlPath("net/ipv4/conf/eth0.1/forwarding"),
            "sys/net/ipv4/conf/eth0.1/forwarding");
  EXPECT_EQ(SysctlPath("single"), "sys/single");
}

TEST(SysctlPath, STR_2_RefusesWhatCouldLeaveTheTree) {
  for (const char* name :
       {"", ".", "..", "/", "/etc/passwd", "net..x", "net//x", ".net.x",
        "net.x.", "net/../x", "net/..", "../x", "net.//.x", "net.////.x"}) {
    EXPECT_EQ(SysctlPath(name), "") << name;
  }
  EXPECT_EQ(SysctlPath(std::string("net.\0x", 6)), "");
}

}  // namespace
}  // namespace warren::shim
