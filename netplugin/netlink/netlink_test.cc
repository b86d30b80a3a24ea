#include "netplugin/netlink/netlink.h"

#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "netplugin/netlink/link.h"
#include "runtime/base/status.h"

namespace warren::netplugin {
namespace {

Request Empty() { return Request("testing", RTM_NEWLINK, 0, ifinfomsg{}); }

TEST(NetlinkRequest, AttributesComeBack) {
  Request request = Empty();
  request.U32(IFLA_MTU, 1400).String(IFLA_IFNAME, "eth0");
  request.Nest(IFLA_LINKINFO, [&] { request.String(IFLA_INFO_KIND, "veth"); });
  ASSERT_TRUE(request.status().ok());
  const Attributes attributes(request.message(), sizeof(ifinfomsg), IFLA_MAX);
  EXPECT_EQ(attributes.U32(IFLA_MTU), 1400u);
  EXPECT_EQ(attributes.String(IFLA_IFNAME), "eth0");
  EXPECT_EQ(attributes.U32(IFLA_GROUP, 7), 7u);
  EXPECT_FALSE(attributes.Has(IFLA_GROUP));
  EXPECT_EQ(Attributes(attributes.Find(IFLA_LINKINFO), IFLA_INFO_MAX)
                .String(IFLA_INFO_KIND),
            "veth");
  EXPECT_EQ(Attributes(attributes.Find(IFLA_STATS), IFLA_MAX).U32(1), 0u);
}

// 65 kB wrap the 16-bit length of an attribute; every size is an error that
// the request keeps, and nothing of it is sent.
TEST(NetlinkRequest, NET_3_LongAttributesAreErrors) {
  for (const size_t size :
       {size_t{9000}, size_t{65531}, size_t{65532}, size_t{65535},
        size_t{65536}, size_t{65540}, size_t{1} << 20, size_t{1} << 32}) {
    Request request = Empty();
    const std::string data(std::min<size_t>(size, 1 << 20), 'x');
    request.Bytes(IFLA_IFALIAS, data.data(), size);
    EXPECT_TRUE(absl::IsInvalidArgument(request.status())) << size;
    request.U32(IFLA_MTU, 1);
    EXPECT_FALSE(request.status().ok());
  }
}

TEST(NetlinkRequest, NET_3_LongNestsAndMessagesAreErrors) {
  Request nest = Empty();
  const std::string piece(1000, 'x');
  nest.Nest(IFLA_LINKINFO, [&] {
    for (int i = 0; i < 70; ++i) nest.Bytes(i, piece.data(), piece.size());
  });
  EXPECT_FALSE(nest.status().ok());
  Request flat = Empty();
  for (int i = 0; i < 70; ++i) flat.Bytes(i, piece.data(), piece.size());
  EXPECT_FALSE(flat.status().ok());
}

TEST(NetlinkRequest, NET_3_BadRequestIsNotSent) {
  auto socket = NetlinkSocket::Open(NETLINK_ROUTE);
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_TRUE(absl::IsInvalidArgument(
      socket->Execute(SetAlias(1, std::string(1 << 16, 'x')))));
}

TEST(NetlinkSocket, ErrorsNameTheStepAndCarryErrno) {
  auto socket = NetlinkSocket::Open(NETLINK_ROUTE);
  ASSERT_TRUE(socket.ok()) << socket.status();
  // Reading needs no privilege and changes nothing.
  const auto missing = FindLink(*socket, "no-such-link");
  ASSERT_TRUE(missing.ok()) << missing.status();
  EXPECT_FALSE(missing->has_value());
  const auto lo = FindLink(*socket, 1);
  ASSERT_TRUE(lo.ok()) << lo.status();
  EXPECT_EQ((*lo)->name, "lo");
  ifinfomsg nowhere = {};
  nowhere.ifi_index = 0x7ffffffe;
  const absl::Status status = socket->Query(
      Request("looking nowhere", RTM_GETLINK, 0, nowhere),
      [](const nlmsghdr*) { ADD_FAILURE(); }, [] {});
  EXPECT_EQ(base::GetErrno(status), ENODEV);
  EXPECT_TRUE(IsNoSuchLink(status));
  EXPECT_NE(status.message().find("looking nowhere"), absl::string_view::npos)
      << status;
}

TEST(Ifname, OnlySafeNamesAreValid) {
  for (const char* good : {"eth0", "warren0", "br-1.2_x", "a"}) {
    EXPECT_TRUE(IsValidIfname(good)) << good;
  }
  for (const char* bad : {"", ".", "..", "all", "default", "a/b", "a b", "a:b",
                          "a%d", "sixteen-letters-", "tab\t"}) {
    EXPECT_FALSE(IsValidIfname(bad)) << bad;
  }
}

}  // namespace
}  // namespace warren::netplugin
