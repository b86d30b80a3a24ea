#include "agent/ctl/table.h"

#include <gtest/gtest.h>

namespace warren::agent::ctl {
namespace {

TEST(Table, ColumnsLineUpWithoutTrailingBlanks) {
  EXPECT_EQ(FormatTable({{"A", "LONG", "C"}, {"value", "x", ""}}),
            "A      LONG  C\n"
            "value  x\n");
}

TEST(Table, TerminalSequencesAreDefused) {
  EXPECT_EQ(Printable("a\x1b[31mb\n"), "a?[31mb?");
  EXPECT_EQ(FormatTable({{"\x1b]0;x\x07"}}), "?]0;x?\n");
}

TEST(Table, ShortId) {
  EXPECT_EQ(ShortId("sha256:0123456789abcdef"), "0123456789ab");
  EXPECT_EQ(ShortId("01"), "01");
}

TEST(Table, Age) {
  const absl::Time now = absl::FromUnixSeconds(1000000);
  const auto age = [&](absl::Duration d) {
    return FormatAge(absl::ToUnixNanos(now - d), now);
  };
  EXPECT_EQ(age(absl::Seconds(-5)), "0s");
  EXPECT_EQ(age(absl::Seconds(119)), "119s");
  EXPECT_EQ(age(absl::Minutes(119)), "119m");
  EXPECT_EQ(age(absl::Hours(47)), "47h");
  EXPECT_EQ(age(absl::Hours(72)), "3d");
}

TEST(Table, Bytes) {
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(uint64_t{3} << 30), "3.0 GiB");
}

}  // namespace
}  // namespace warren::agent::ctl
