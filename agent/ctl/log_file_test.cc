#include "agent/ctl/log_file.h"

#include <gtest/gtest.h>

#include <string>

namespace warren::agent::ctl {
namespace {

constexpr char kTime[] = "2026-01-02T03:04:05.678901234Z ";

// Everything `reader` gives back for one stream.
std::string Text(LogReader* reader, const std::string& data,
                 LogStream stream = LogStream::kStdout) {
  std::string text;
  for (const LogPiece& piece : reader->Feed(data)) {
    if (piece.stream == stream) text += piece.text;
  }
  return text;
}

TEST(LogFile, FullLines) {
  LogReader reader(false);
  EXPECT_EQ(Text(&reader, std::string(kTime) + "stdout F hello world\n"),
            "hello world\n");
  EXPECT_EQ(Text(&reader, std::string(kTime) + "stdout F \n"), "\n");
}

TEST(LogFile, PartialLinesAreJoinedPerStream) {
  LogReader reader(false);
  const std::string data = std::string(kTime) + "stdout P one \n" + kTime +
                           "stderr F between\n" + kTime + "stdout F two\n";
  EXPECT_EQ(Text(&reader, data), "one two\n");
}

TEST(LogFile, TimestampsOnlyAtLineStart) {
  LogReader reader(true);
  const std::string data =
      std::string(kTime) + "stdout P one \n" + kTime + "stdout F two\n";
  EXPECT_EQ(Text(&reader, data), std::string(kTime) + "one two\n");
}

TEST(LogFile, FurtherTagsAreIgnored) {
  LogReader reader(false);
  EXPECT_EQ(Text(&reader, std::string(kTime) + "stdout P:x a\n"), "a");
}

TEST(LogFile, UnfinishedLineWaits) {
  LogReader reader(false);
  EXPECT_EQ(Text(&reader, std::string(kTime) + "std"), "");
  EXPECT_EQ(Text(&reader, "out F late\n"), "late\n");
}

TEST(LogFile, StrangeLinesPassThrough) {
  LogReader reader(false);
  EXPECT_EQ(Text(&reader, "not a log line at all\n"),
            "not a log line at all\n");
}

}  // namespace
}  // namespace warren::agent::ctl
