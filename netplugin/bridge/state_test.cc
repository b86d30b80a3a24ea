#include "netplugin/bridge/state.h"

#include <absl/strings/str_cat.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "netplugin/bridge/plan.h"
#include "netplugin/ip_testing.h"

namespace warren::netplugin {
namespace {

const BridgeState kAttached = {
    {"sandbox-1", {Prefix("10.88.0.2/16"), Prefix("fd88::2/64")}},
    "wr0123456789abc"};

absl::StatusCode DecodeError(const NetworkState& state) {
  return DecodeState(state).status().code();
}

NetworkState WithBytes(const std::string& opaque) {
  NetworkState state = *EncodeState(kAttached);
  state.opaque = opaque;
  return state;
}

TEST(BridgeStateFormat, RoundTripBeforeAndAfterAttach) {
  BridgeState prepared = kAttached;
  prepared.host_ifname.clear();
  for (const BridgeState& state : {prepared, kAttached}) {
    const auto encoded = EncodeState(state);
    ASSERT_TRUE(encoded.ok()) << encoded.status();
    EXPECT_EQ(encoded->sandbox_id, "sandbox-1");
    EXPECT_EQ(encoded->addresses, state.lease.addresses);
    EXPECT_EQ(*DecodeState(*encoded), state);
  }
}

// Pinned: records of this format are on disks.
TEST(BridgeStateFormat, VersionOne) {
  const std::string bytes =
      "warren-bridge 1\n"
      "sandbox sandbox-1\n"
      "address 10.88.0.2/16\n"
      "address fd88::2/64\n"
      "link wr0123456789abc\n";
  EXPECT_EQ(EncodeState(kAttached)->opaque, bytes);
  EXPECT_EQ(*DecodeState(WithBytes(bytes)), kAttached);
}

TEST(BridgeStateFormat, ARecordOlderThanTheSeamIsALease) {
  const auto state = DecodeState(WithBytes(""));
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->lease, kAttached.lease);
  EXPECT_EQ(state->host_ifname, HostIfname("sandbox-1"));
  EXPECT_EQ(DecodeError({"sandbox-1", "", {}}),
            absl::StatusCode::kInvalidArgument);
}

TEST(BridgeStateFormat, StatesOfOthersAreRefused) {
  for (const char* bytes : {"x", "late 1\n", "warren-bridg", "\n", "{}"}) {
    EXPECT_EQ(DecodeError(WithBytes(bytes)), absl::StatusCode::kInvalidArgument)
        << bytes;
  }
  EXPECT_EQ(DecodeError(WithBytes("warren-bridge 2\nsandbox x\nnew y\n")),
            absl::StatusCode::kFailedPrecondition);
}

TEST(BridgeStateFormat, DamageIsDataLoss) {
  const std::string good = EncodeState(kAttached)->opaque;
  const std::string head = "warren-bridge 1\n";
  const std::string body = good.substr(head.size());
  for (const std::string& bad : std::vector<std::string>{
           "warren-bridge ", "warren-bridge x\n", "warren-bridge -1\n",
           "warren-bridge 1", head, head + "\n", good + "more x\n",
           good + "address 10.88.0.9/16\n", head + "sandbox sandbox-1\n",
           head + "address 10.88.0.2/16\n", head + "sandbox b\n" + body,
           head + "address nonsense\n", head + body + body,
           good.substr(0, good.size() - 1),
           head + "sandbox sandbox-1\naddress 10.88.0.2/16\n"
                  "address fd88::2/64\nlink a-name-that-is-too-long\n"}) {
    EXPECT_EQ(DecodeError(WithBytes(bad)), absl::StatusCode::kDataLoss) << bad;
  }
  // Whole, but of another pod.
  NetworkState moved = WithBytes(good);
  moved.sandbox_id = "sandbox-2";
  EXPECT_EQ(DecodeError(moved), absl::StatusCode::kDataLoss);
  moved = WithBytes(good);
  moved.addresses.pop_back();
  EXPECT_EQ(DecodeError(moved), absl::StatusCode::kDataLoss);
}

// Whatever the bytes: an error or a state that encodes again.
TEST(BridgeStateFormat, AnyBytesAreRead) {
  std::mt19937 random(1);
  const std::string good = EncodeState(kAttached)->opaque;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = good;
    for (int n = random() % 4; n >= 0; --n) {
      const size_t at = random() % bytes.size();
      if (random() % 2 == 0) {
        bytes[at] = static_cast<char>(random());
      } else {
        bytes.erase(at, random() % 8);
      }
      if (bytes.empty()) bytes = "w";
    }
    const auto state = DecodeState(WithBytes(bytes));
    if (state.ok()) {
      EXPECT_TRUE(EncodeState(*state).ok()) << bytes;
    } else {
      EXPECT_FALSE(state.status().message().empty());
    }
  }
}

TEST(BridgeStateFormat, OnlyIdsThatFitALineAreWritten) {
  for (const std::string& id :
       {std::string(), std::string("a\nb"), std::string("a\0b", 3),
        std::string(300, 'x')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(
        EncodeState({{id, {Prefix("10.88.0.2/16")}}, ""}).status()));
  }
  EXPECT_TRUE(absl::IsInvalidArgument(EncodeState({{"a", {}}, ""}).status()));
}

}  // namespace
}  // namespace warren::netplugin
