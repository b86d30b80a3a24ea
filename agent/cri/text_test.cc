#include "agent/cri/text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "agent/cri/cri.h"

namespace warren::agent {
namespace {

TEST(TextTest, ValidSequencesStay) {
  for (const std::string text :
       {"", "plain", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x90\xB0",
        "\xED\x9F\xBF", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
    EXPECT_EQ(CleanUtf8(text), text);
  }
}

TEST(TextTest, EveryOtherByteIsReplaced) {
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(CleanUtf8("a\xFFz"), "a" + bad + "z");
  EXPECT_EQ(CleanUtf8("\x80"), bad);
  EXPECT_EQ(CleanUtf8("\xC0\x80"), bad + bad);  // overlong
  EXPECT_EQ(CleanUtf8("\xE0\x9F\xBF"), bad + bad + bad);
  EXPECT_EQ(CleanUtf8("\xED\xA0\x80"), bad + bad + bad);  // surrogate
  EXPECT_EQ(CleanUtf8("\xF4\x90\x80\x80"), bad + bad + bad + bad);
  EXPECT_EQ(CleanUtf8("\xE2\x82"), bad + bad);  // cut short
  EXPECT_EQ(CleanUtf8("\xC3"
                      "a"),
            bad + "a");
}

TEST(TextTest, API_6_LinesAreShortAndWhole) {
  EXPECT_EQ(OneLine("two\nlines\tand\x1b[0m", 100), "two lines and [0m");
  EXPECT_EQ(OneLine("12345", 5), "12345");
  EXPECT_EQ(OneLine("123456789", 8), "12345\xE2\x80\xA6");
  for (size_t limit = 4; limit < 40; ++limit) {
    std::string euros;
    for (int i = 0; i < 20; ++i) euros += "\xE2\x82\xAC";
    const std::string line = OneLine(euros, limit);
    EXPECT_LE(line.size(), limit);
    EXPECT_TRUE(IsUtf8(line)) << limit;
    const std::string noise = OneLine(std::string(1 << 20, '\xFF'), limit);
    EXPECT_LE(noise.size(), limit);
    EXPECT_TRUE(IsUtf8(noise)) << limit;
  }
}

TEST(TextTest, LogValuesQuoteWhatWouldBreakTheLine) {
  EXPECT_EQ(LogValue("abc"), "abc");
  EXPECT_EQ(LogValue(""), "\"\"");
  EXPECT_EQ(LogValue("a b"), "\"a b\"");
  EXPECT_EQ(LogValue("a\"b\\c\n"), "\"a\\\"b\\\\c \"");
}

TEST(TextTest, MessagesAreCleanedInDepth) {
  cri::ContainerStatusResponse reply;
  reply.mutable_status()->set_message("a\xFF");
  (*reply.mutable_status()->mutable_labels())["k\xFE"] = "v\xFD";
  reply.mutable_status()->add_mounts()->set_host_path("/\xC0");
  (*reply.mutable_info())["info"] = "\x80{}";
  CleanStrings(&reply);
  cri::ContainerStatusResponse back;
  // The parser refuses strings that are not UTF-8.
  ASSERT_TRUE(back.ParseFromString(reply.SerializeAsString()));
  EXPECT_EQ(back.status().message(), "a\xEF\xBF\xBD");
  EXPECT_EQ(back.status().labels().at("k\xEF\xBF\xBD"), "v\xEF\xBF\xBD");
  EXPECT_EQ(back.status().mounts(0).host_path(), "/\xEF\xBF\xBD");
  EXPECT_EQ(back.info().at("info"), "\xEF\xBF\xBD{}");
}

TEST(TextTest, BytesAreNotText) {
  cri::ExecSyncResponse reply;
  reply.set_stdout("\xFF\xFE");
  CleanStrings(&reply);
  EXPECT_EQ(reply.stdout(), "\xFF\xFE");
}

}  // namespace
}  // namespace warren::agent
