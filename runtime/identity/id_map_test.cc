#include "runtime/identity/id_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(IdMap, HostIds) {
  EXPECT_EQ(ToHostId({}, 7), 7u);
  const std::vector<IdMapping> map = {{0, 100000, 65536}, {70000, 5, 1}};
  EXPECT_EQ(ToHostId(map, 0), 100000u);
  EXPECT_EQ(ToHostId(map, 65535), 165535u);
  EXPECT_EQ(ToHostId(map, 65536), std::nullopt);
  EXPECT_EQ(ToHostId(map, 70000), 5u);
  EXPECT_EQ(ToHostId(map, 4294967295u), std::nullopt);
}

TEST(IdMap, WhatTheKernelWouldRefuse) {
  struct Case {
    std::vector<IdMapping> map;
    const char* message;  // nullptr = fine
  };
  const std::vector<Case> cases = {
      {{}, nullptr},
      {{{0, 0, 4294967295u}}, nullptr},
      {{{0, 65536, 65536}}, nullptr},
      {{{0, 10, 1}, {1, 20, 1}}, nullptr},
      {{{0, 65536, 0}}, "length"},
      {{{1, 65536, 65536}}, "not mapped"},
      {{{0, 4294967295u, 1}}, "beyond"},
      {{{0, 4294901760u, 65536}}, "beyond"},
      {{{0, 10, 5}, {4, 100, 5}}, "overlap"},
      {{{0, 10, 5}, {5, 14, 5}}, "overlap"},
  };
  for (const Case& c : cases) {
    const absl::Status status = ValidateIdMappings(c.map, "uids");
    if (c.message == nullptr) {
      EXPECT_TRUE(status.ok()) << status;
    } else {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(status.message(), HasSubstr(c.message));
      EXPECT_EQ(status.message().substr(0, 4), "uids");
    }
  }
}

TEST(IdMap, ProcText) {
  auto map = ParseIdMap("         0     100000      65536\n  70000 5 1\n");
  ASSERT_TRUE(map.ok()) << map.status();
  EXPECT_THAT(*map,
              ElementsAre(IdMapping{0, 100000, 65536}, IdMapping{70000, 5, 1}));
  EXPECT_TRUE(ParseIdMap("").ok());
  for (const char* bad : {"0 1", "0 1 2 3", "a b c", "-1 0 1"}) {
    EXPECT_FALSE(ParseIdMap(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace warren::runtime
