#include "runtime/image/tar_reader.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/image/testing/tar_builder.h"

namespace warren::image {
namespace {

using ::testing::ElementsAre;
using testing::Member;
using testing::PaxRecord;
using testing::TarBuilder;

// Writes down what arrives.
class Recorder : public TarSink {
 public:
  absl::Status BeginEntry(const TarEntry& entry) override {
    current_ = absl::StrCat(static_cast<int>(entry.type), " ", entry.path, " ",
                            entry.link, " ", entry.size, ":");
    next_ = 0;
    return absl::OkStatus();
  }
  absl::Status Data(uint64_t offset, absl::string_view bytes) override {
    EXPECT_GE(offset, next_);
    next_ = offset + bytes.size();
    absl::StrAppend(&current_, bytes);
    return absl::OkStatus();
  }
  absl::Status EndEntry() override {
    seen.push_back(current_);
    return absl::OkStatus();
  }
  std::vector<std::string> seen;

 private:
  std::string current_;
  uint64_t next_ = 0;
};

absl::Status ReadAll(const std::string& tar, size_t chunk,
                     std::vector<std::string>* seen,
                     uint64_t max_entries = 1000) {
  Recorder recorder;
  TarReader reader(&recorder, max_entries);
  absl::Status status;
  for (size_t at = 0; status.ok() && at < tar.size(); at += chunk) {
    status = reader.Feed(absl::string_view(tar).substr(at, chunk));
  }
  if (status.ok()) status = reader.Finish();
  *seen = recorder.seen;
  return status;
}

std::string Rich() {
  Member pax;
  pax.name = "short";
  pax.data = "data";
  pax.pax = {{"path", "pax/name"}, {"size", "4"}};
  Member sparse;
  sparse.name = "s";
  sparse.data = testing::Padded("2\n0\n1\n600\n2\n") + "abc";
  sparse.pax = {{"GNU.sparse.major", "1"}, {"GNU.sparse.realsize", "700"}};
  return TarBuilder()
      .PaxHeader('g', PaxRecord("comment", "from git"))
      .Directory("dir/")
      .File("dir/file", std::string(1000, 'x'))
      .Symlink("link", "target")
      .HardLink("hard", "dir/file")
      .GnuLong('L', "gnu/name")
      .GnuLong('K', "gnu/target")
      .Symlink("x", "y")
      .Add(pax)
      .Add(sparse)
      .File("v7/")
      .Build();
}

TEST(TarReader, AllDialectsInAnyChunkSize) {
  std::vector<std::string> whole;
  ASSERT_TRUE(ReadAll(Rich(), Rich().size(), &whole).ok());
  EXPECT_THAT(
      whole,
      ElementsAre("3 dir/  0:", "0 dir/file  1000:" + std::string(1000, 'x'),
                  "2 link target 0:", "1 hard dir/file 0:",
                  "2 gnu/name gnu/target 0:", "0 pax/name  4:data",
                  "0 s  700:abc", "3 v7/  0:"));
  for (const size_t chunk : {1, 7, 511, 512, 513, 1024}) {
    std::vector<std::string> pieces;
    ASSERT_TRUE(ReadAll(Rich(), chunk, &pieces).ok()) << chunk;
    EXPECT_EQ(pieces, whole) << chunk;
  }
}

TEST(TarReader, EndsWithAndWithoutZeroBlocks) {
  std::vector<std::string> seen;
  const std::string tar = TarBuilder().File("a").bytes();
  EXPECT_TRUE(ReadAll(tar, 512, &seen).ok());
  EXPECT_TRUE(ReadAll(tar + std::string(512, '\0'), 512, &seen).ok());
  EXPECT_TRUE(ReadAll(tar + std::string(10240, '\0'), 512, &seen).ok());
  EXPECT_TRUE(ReadAll("", 512, &seen).ok());
  EXPECT_FALSE(ReadAll(tar + std::string(100, '\0'), 512, &seen).ok());
  EXPECT_FALSE(ReadAll(tar + std::string(1024, '\0') + "x", 512, &seen).ok());
}

TEST(TarReader, EveryCutIsSeen) {
  const std::string tar = TarBuilder()
                              .GnuLong('L', "name")
                              .File("x", std::string(600, 'x'))
                              .bytes();
  for (size_t size = 1; size < tar.size(); ++size) {
    std::vector<std::string> seen;
    EXPECT_FALSE(ReadAll(tar.substr(0, size), 4096, &seen).ok()) << size;
  }
}

TEST(TarReader, IMG_3_EntriesAreCounted) {
  TarBuilder tar;
  for (int i = 0; i < 5; ++i) tar.File(absl::StrCat(i));
  std::vector<std::string> seen;
  EXPECT_TRUE(ReadAll(tar.Build(), 512, &seen, 5).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(ReadAll(tar.Build(), 512, &seen, 4)));
}

TEST(TarReader, MutationsNeverBreakIt) {
  const std::string seed = Rich();
  uint32_t random = 1;
  const auto next = [&random] {
    random = random * 1664525u + 1013904223u;
    return random >> 8;
  };
  for (int i = 0; i < 5000; ++i) {
    std::string tar = seed;
    for (int m = 0; m < 3; ++m) {
      tar[next() % tar.size()] = static_cast<char>(next());
    }
    for (size_t at = 0; at + 512 <= tar.size(); at += 512) {
      if (tar.compare(at + 257, 5, "ustar") != 0) continue;
      std::string block = tar.substr(at, 512);
      testing::FixChecksum(&block);
      tar.replace(at, 512, block);
    }
    std::vector<std::string> whole;
    std::vector<std::string> pieces;
    const absl::Status status = ReadAll(tar, tar.size(), &whole);
    EXPECT_EQ(ReadAll(tar, 100, &pieces).code(), status.code()) << i;
    EXPECT_EQ(pieces, whole) << i;
  }
}

}  // namespace
}  // namespace warren::image
