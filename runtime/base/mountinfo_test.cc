#include "runtime/base/mountinfo.h"

#include <gtest/gtest.h>

namespace warren::base {
namespace {

TEST(MountInfo, FieldsAndEscapes) {
  auto entries = ParseMountInfo(
      "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root "
      "rw,errors=continue\n"
      "50 49 0:21 / /a\\040b\\011c\\134d rw shared:2 master:7 "
      "propagate_from:3 - tmpfs my\\040src rw,size=1k\n"
      "31 23 0:28 / /sys/fs/cgroup ro - tmpfs  rw\n");
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->size(), 3u);
  const MountEntry& a = (*entries)[0];
  EXPECT_EQ(a.id, 36u);
  EXPECT_EQ(a.parent_id, 35u);
  EXPECT_EQ(a.root, "/mnt1");
  EXPECT_EQ(a.target, "/mnt2");
  EXPECT_EQ(a.options, "rw,noatime");
  EXPECT_TRUE(a.slave);
  EXPECT_FALSE(a.shared);
  EXPECT_EQ(a.fs_type, "ext3");
  EXPECT_EQ(a.source, "/dev/root");
  EXPECT_EQ(a.super_options, "rw,errors=continue");
  const MountEntry& b = (*entries)[1];
  EXPECT_EQ(b.target, "/a b\tc\\d");
  EXPECT_EQ(b.source, "my src");
  EXPECT_TRUE(b.shared && b.slave);
  EXPECT_EQ((*entries)[2].source, "");
}

TEST(MountInfo, MalformedLines) {
  for (const char* bad :
       {"x", "1 2 3:4 / / rw", "a b 0:1 / / rw - t s o",
        "1 2 0:1 / / rw shared:1 t s o", "1 2 0:1 / / rw - tmpfs"}) {
    EXPECT_FALSE(ParseMountInfo(bad).ok()) << bad;
  }
  EXPECT_TRUE(ParseMountInfo("").ok());
}

}  // namespace
}  // namespace warren::base
