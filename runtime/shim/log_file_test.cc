#include "runtime/shim/log_file.h"

#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <string>

namespace warren::shim {
namespace {

std::string Stamp(int64_t ns) {
  char stamp[kStampSize];
  FormatStamp(ns, stamp);
  return std::string(stamp, kStampSize);
}

TEST(FormatStamp, IsRfc3339WithNineDigits) {
  EXPECT_EQ(Stamp(0), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(Stamp(1'767'323'045'678'901'234), "2026-01-02T03:04:05.678901234Z");
  EXPECT_EQ(Stamp(951'782'399'999'999'999), "2000-02-28T23:59:59.999999999Z");
  EXPECT_EQ(Stamp(951'782'400'000'000'000), "2000-02-29T00:00:00.000000000Z");
}

TEST(FormatStamp, AgreesWithTheSystemOnEveryDayOfTwoCenturies) {
  for (int64_t day = 0; day < 73'000; ++day) {
    const time_t seconds = day * 86'400 + day * 7 % 86'400;
    tm broken = {};
    gmtime_r(&seconds, &broken);
    char expected[64];
    snprintf(expected, sizeof(expected),
             "%04d-%02d-%02dT%02d:%02d:%02d.000000001Z", broken.tm_year + 1900,
             broken.tm_mon + 1, broken.tm_mday, broken.tm_hour, broken.tm_min,
             broken.tm_sec);
    ASSERT_EQ(Stamp(seconds * int64_t{1'000'000'000} + 1), expected);
  }
}

TEST(EntryHeaders, REL_13_EveryTimeIsTheStampAndNeverGoesBack) {
  constexpr int64_t kStart = 1'767'225'599'999'999'990;  // the end of 2025
  EntryHeaders headers;
  int64_t latest = 0;
  // In the same second, over the end of it and of a year, and back.
  for (const int64_t step :
       {0, 1, 8, 1, 1, -5, 999'999'998, 1, -999'999'999, 2'000'000'000, 7}) {
    const int64_t time = (latest == 0 ? kStart : latest) + step;
    latest = std::max(latest, time);
    headers.SetTime(time);
    EXPECT_EQ(std::string(headers.Of(LogStream::kStdout), kEntryHeaderSize),
              Stamp(latest) + " stdout F ");
    EXPECT_EQ(std::string(headers.Of(LogStream::kStderr), kEntryHeaderSize),
              Stamp(latest) + " stderr F ");
  }
}

}  // namespace
}  // namespace warren::shim
