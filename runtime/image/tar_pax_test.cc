#include "runtime/image/tar_pax.h"

#include <gtest/gtest.h>

#include <string>

#include "runtime/image/testing/tar_builder.h"

namespace warren::image {
namespace {

using testing::PaxRecord;

TEST(Pax, Records) {
  const auto records = ParsePax(
      PaxRecord("path", "a=b\nc") + PaxRecord("linkpath", "l") +
      PaxRecord("size", "18446744073709551615") + PaxRecord("uid", "7") +
      PaxRecord("mtime", "-1.25") + PaxRecord("comment", "") +
      PaxRecord("SCHILY.xattr.user.a", std::string("v\0w", 3)));
  ASSERT_TRUE(records.ok()) << records.status();
  EXPECT_EQ(*records->path, "a=b\nc");
  EXPECT_EQ(*records->link_path, "l");
  EXPECT_EQ(*records->size, ~uint64_t{0});
  EXPECT_EQ(*records->uid, 7u);
  EXPECT_FALSE(records->gid.has_value());
  EXPECT_EQ(records->mtime->seconds, -2);
  EXPECT_EQ(records->mtime->nanoseconds, 750000000u);
  ASSERT_EQ(records->xattrs.size(), 1u);
  EXPECT_EQ(records->xattrs[0].second.size(), 3u);
  EXPECT_TRUE(ParsePax("").ok());
}

TEST(Pax, Times) {
  const auto time = [](const std::string& text) {
    return ParsePax(PaxRecord("mtime", text));
  };
  EXPECT_EQ(time("1.123456789123")->mtime->nanoseconds, 123456789u);
  EXPECT_EQ(time("5")->mtime->seconds, 5);
  for (const char* bad :
       {"", ".", "1.x", "--1", "1.2.3", "1e9", "99999999999999999999"}) {
    EXPECT_FALSE(time(bad).ok()) << bad;
  }
}

TEST(Pax, IMG_2_EveryCutIsSeenOrHarmless) {
  const std::string body = PaxRecord("path", "abc") + PaxRecord("uid", "123");
  for (size_t size = 1; size < body.size(); ++size) {
    const auto records = ParsePax(body.substr(0, size));
    if (size != PaxRecord("path", "abc").size()) {
      EXPECT_FALSE(records.ok()) << size;
    }
  }
}

TEST(Pax, SparseMaps) {
  const auto v00 = ParsePax(PaxRecord("GNU.sparse.size", "10") +
                            PaxRecord("GNU.sparse.offset", "0") +
                            PaxRecord("GNU.sparse.numbytes", "1") +
                            PaxRecord("GNU.sparse.offset", "5") +
                            PaxRecord("GNU.sparse.numbytes", "2"));
  ASSERT_TRUE(v00.ok()) << v00.status();
  ASSERT_EQ(v00->sparse_map.size(), 2u);
  EXPECT_EQ(v00->sparse_map[1].offset, 5u);
  EXPECT_EQ(v00->sparse_map[1].length, 2u);
  EXPECT_FALSE(ParsePax(PaxRecord("GNU.sparse.numbytes", "1")).ok());
  EXPECT_FALSE(ParsePax(PaxRecord("GNU.sparse.map", "1")).ok());
  EXPECT_FALSE(ParsePax(PaxRecord("GNU.sparse.map", "1,")).ok());
  EXPECT_FALSE(ParsePax(PaxRecord("GNU.sparse.major", "1") +
                        PaxRecord("GNU.sparse.map", "1,2"))
                   .ok());
  EXPECT_FALSE(ParsePax(PaxRecord("GNU.sparse.future", "1")).ok());
}

TEST(Decimal, Range) {
  EXPECT_EQ(*ParseDecimal("0"), 0u);
  EXPECT_EQ(*ParseDecimal("18446744073709551615"), ~uint64_t{0});
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "18446744073709551616"}) {
    EXPECT_FALSE(ParseDecimal(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace warren::image
