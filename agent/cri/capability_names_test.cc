#include "agent/cri/capability_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>

namespace warren::agent {
namespace {

using List = std::vector<const char*>;

absl::StatusOr<uint64_t> Apply(const List& add, const List& drop) {
  cri::Capability request;
  for (const char* name : add) request.add_add_capabilities(name);
  for (const char* name : drop) request.add_drop_capabilities(name);
  const auto sets = ApplyCapabilities("f", request);
  if (!sets.ok()) return sets.status();
  EXPECT_EQ(sets->ambient, 0u);
  return sets->bounding;
}

TEST(CapabilityNames, NumbersOfSome) {
  EXPECT_EQ(CapabilityMask("CHOWN"), 1u << 0);
  EXPECT_EQ(CapabilityMask("cap_net_bind_service"), 1u << 10);
  EXPECT_EQ(CapabilityMask("SYS_ADMIN"), 1u << 21);
  EXPECT_EQ(CapabilityMask("CHECKPOINT_RESTORE"), uint64_t{1} << 40);
  EXPECT_EQ(CapabilityMask("NONSENSE"), 0u);
  EXPECT_EQ(std::popcount(DefaultCapabilities()), 14);
  EXPECT_EQ(std::popcount(AllCapabilities()), 41);
  EXPECT_THAT(CapabilityNames(0x401),
              testing::ElementsAre("CAP_CHOWN", "CAP_NET_BIND_SERVICE"));
}

TEST(CapabilityNames, EXE_6_AddAndDrop) {
  const uint64_t all = AllCapabilities(), defaults = DefaultCapabilities();
  EXPECT_EQ(*Apply({}, {}), defaults);
  EXPECT_EQ(*Apply({"SYS_TIME"}, {}), defaults | CapabilityMask("SYS_TIME"));
  EXPECT_EQ(*Apply({"ALL"}, {"CHOWN"}), all & ~CapabilityMask("CHOWN"));
  EXPECT_EQ(*Apply({"NET_BIND_SERVICE"}, {"all"}),
            CapabilityMask("NET_BIND_SERVICE"));
  EXPECT_EQ(*Apply({"ALL"}, {"ALL"}), 0u);
  EXPECT_EQ(*Apply({"CHOWN"}, {"CAP_CHOWN"}),
            defaults & ~CapabilityMask("CHOWN"));
}

TEST(CapabilityNames, EXE_6_AmbientOnesAreInAllSets) {
  cri::Capability request;
  request.add_add_ambient_capabilities("cap_Sys_Time");
  request.add_add_ambient_capabilities("CHOWN");
  request.add_drop_capabilities("CHOWN");
  auto sets = ApplyCapabilities("f", request);
  ASSERT_TRUE(sets.ok()) << sets.status();
  EXPECT_EQ(sets->ambient, CapabilityMask("SYS_TIME"));
  EXPECT_EQ(sets->bounding,
            (DefaultCapabilities() | CapabilityMask("SYS_TIME")) &
                ~CapabilityMask("CHOWN"));
  request.add_drop_capabilities("ALL");
  sets = ApplyCapabilities("f", request);
  EXPECT_EQ(sets->bounding, CapabilityMask("SYS_TIME"));
  request.Clear();
  request.add_add_ambient_capabilities("ALL");
  sets = ApplyCapabilities("f", request);
  EXPECT_EQ(sets->ambient, AllCapabilities());
  EXPECT_EQ(sets->bounding, AllCapabilities());
  request.add_add_ambient_capabilities("FLY");
  EXPECT_THAT(std::string(ApplyCapabilities("f", request).status().message()),
              testing::StartsWith("f.add_ambient_capabilities: \"FLY\""));
}

TEST(CapabilityNames, UnknownNamesTheField) {
  EXPECT_THAT(std::string(Apply({"FLY"}, {}).status().message()),
              testing::StartsWith("f.add_capabilities: \"FLY\""));
  EXPECT_THAT(std::string(Apply({}, {""}).status().message()),
              testing::StartsWith("f.drop_capabilities"));
}

}  // namespace
}  // namespace warren::agent
