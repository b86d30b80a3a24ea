#include "runtime/mounts/label.h"

#include <gtest/gtest.h>

namespace warren::runtime {
namespace {

TEST(FileLabel, UserAndLevelOfTheProcess) {
  EXPECT_EQ(FileLabel(""), "");
  EXPECT_EQ(FileLabel("system_u:system_r:container_t:s0:c1,c2"),
            "system_u:object_r:container_file_t:s0:c1,c2");
  EXPECT_EQ(FileLabel("u:r:t:s0-s0:c1.c3"),
            "u:object_r:container_file_t:s0-s0:c1.c3");
  EXPECT_EQ(FileLabelAt("u:r:t:s0:c1", "s0"), "u:object_r:container_file_t:s0");
  EXPECT_EQ(FileLabelAt("", "s0"), "");
}

}  // namespace
}  // namespace warren::runtime
