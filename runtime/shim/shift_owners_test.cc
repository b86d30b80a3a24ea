#include "runtime/shim/shift_owners.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace warren::shim {
namespace {

IdMappings Mappings(uint32_t inside, uint32_t outside, uint32_t length) {
  IdMappings mappings;
  v1::IdMapping* m = mappings.Add();
  m->set_container_id(inside);
  m->set_host_id(outside);
  m->set_length(length);
  return mappings;
}

TEST(ShiftId, MapsTheRangeAndLeavesTheRest) {
  const IdMappings mappings = Mappings(0, 65536, 1000);
  EXPECT_EQ(ShiftId(mappings, 0), 65536u);
  EXPECT_EQ(ShiftId(mappings, 999), 66535u);
  EXPECT_EQ(ShiftId(mappings, 1000), 1000u);
  EXPECT_EQ(ShiftId(mappings, 65536), 65536u);
  EXPECT_EQ(ShiftId(IdMappings(), 5), 5u);
  EXPECT_EQ(ShiftId(Mappings(10, 4294967290u, 5), 14), 4294967294u);
}

TEST(ShiftOwners, RefusesRangesThatOverlap) {
  EXPECT_EQ(ShiftOwners(-1, Mappings(0, 500, 1000), {}).error, EINVAL);
  EXPECT_EQ(ShiftOwners(-1, {}, Mappings(1000, 500, 1000)).error, EINVAL);
  EXPECT_FALSE(ShiftOwners(-1, {}, {}).failed());
}

}  // namespace
}  // namespace warren::shim
