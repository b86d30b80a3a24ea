#include "runtime/shim/log_framer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace warren::shim {
namespace {

using Entry = std::pair<bool, std::string>;  // partial, text

class Collector : public EntrySink {
 public:
  void Append(LogStream, bool partial, std::string_view text) override {
    entries.emplace_back(partial, std::string(text));
  }
  std::vector<Entry> entries;
};

// Feeds `input` in pieces of at most `piece` bytes.
std::vector<Entry> Frame(const std::string& input, size_t piece) {
  auto buffer = std::make_unique<FramerBuffer>();
  LogFramer framer(LogStream::kStdout, buffer.get());
  Collector sink;
  for (size_t at = 0; at < input.size();) {
    EXPECT_GE(framer.space_size(), kMaxEntryText);
    const size_t n = std::min({piece, framer.space_size(), input.size() - at});
    memcpy(framer.space(), input.data() + at, n);
    framer.Consume(n, &sink);
    at += n;
  }
  framer.Finish(&sink);
  return sink.entries;
}

std::vector<Entry> FrameAnyhow(const std::string& input) {
  const auto whole = Frame(input, input.size() + 1);
  for (const size_t piece :
       {size_t{1}, size_t{7}, size_t{16384}, size_t{16385}}) {
    EXPECT_EQ(Frame(input, piece), whole) << "pieces of " << piece;
  }
  return whole;
}

TEST(LogFramer, CutsLines) {
  EXPECT_EQ(FrameAnyhow("a\nbc\n\nd\n"),
            (std::vector<Entry>{
                {false, "a"}, {false, "bc"}, {false, ""}, {false, "d"}}));
  EXPECT_TRUE(FrameAnyhow("").empty());
}

TEST(LogFramer, DropsOneCarriageReturnBeforeNewline) {
  EXPECT_EQ(FrameAnyhow("a\r\nb\r\r\nc\rd\n\r\n"),
            (std::vector<Entry>{
                {false, "a"}, {false, "b\r"}, {false, "c\rd"}, {false, ""}}));
}

TEST(LogFramer, EndWithoutNewlineIsPartial) {
  EXPECT_EQ(FrameAnyhow("a\nrest"),
            (std::vector<Entry>{{false, "a"}, {true, "rest"}}));
  EXPECT_EQ(FrameAnyhow("rest\r"), (std::vector<Entry>{{true, "rest\r"}}));
}

TEST(LogFramer, LongLinesBecomePartialPieces) {
  const std::string max(kMaxEntryText, 'x');
  EXPECT_EQ(FrameAnyhow(max + "\n"), (std::vector<Entry>{{false, max}}));
  EXPECT_EQ(FrameAnyhow(max + "\r\n"), (std::vector<Entry>{{false, max}}));
  EXPECT_EQ(FrameAnyhow(max + "y\n"),
            (std::vector<Entry>{{true, max}, {false, "y"}}));
  EXPECT_EQ(FrameAnyhow(max + max + "\n"),
            (std::vector<Entry>{{true, max}, {false, max}}));
  EXPECT_EQ(
      FrameAnyhow(max + max + max + "y"),
      (std::vector<Entry>{{true, max}, {true, max}, {true, max}, {true, "y"}}));
}

TEST(LogFramer, BytesAreKeptAsTheyAre) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) {
    if (i != '\n' && i != '\r') bytes += static_cast<char>(i);
  }
  EXPECT_EQ(FrameAnyhow(bytes + "\n"), (std::vector<Entry>{{false, bytes}}));
}

}  // namespace
}  // namespace warren::shim
