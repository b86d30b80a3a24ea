#include "agent/store/record_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <set>

#include "agent/cri/ids.h"

namespace warren::agent {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

const std::string kId(64, 'a');

class RecordFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/warren-record.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  RecordDirectory Open() {
    auto directory =
        RecordDirectory::Open(root_ + "/things", root_ + "/quarantine");
    EXPECT_TRUE(directory.ok()) << directory.status();
    return *std::move(directory);
  }
  std::string Path(const std::string& rest) {
    return root_ + "/things/" + rest;
  }
  void WriteRaw(const std::string& id, const std::string& content) {
    std::filesystem::create_directories(Path(id));
    std::ofstream(Path(id) + "/record.pb", std::ios::binary) << content;
  }

  std::string root_;
};

TEST(RecordFrame, RoundTrip) {
  for (const std::string& payload :
       {std::string(), std::string("x"), std::string(100'000, '\0')}) {
    const auto back = UnframeRecord(FrameRecord(payload));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, payload);
  }
}

TEST(RecordFrame, REL_16_EveryTruncationIsDetected) {
  const std::string file = FrameRecord("a small record of a pod");
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_EQ(UnframeRecord(file.substr(0, size)).status().code(),
              absl::StatusCode::kDataLoss)
        << size;
  }
  EXPECT_EQ(UnframeRecord(file + "x").status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(RecordFrame, REL_16_EveryFlippedBitIsDetected) {
  const std::string file = FrameRecord("a small record of a pod");
  for (size_t bit = 0; bit < file.size() * 8; ++bit) {
    std::string flipped = file;
    flipped[bit / 8] ^= static_cast<char>(1 << bit % 8);
    EXPECT_EQ(UnframeRecord(flipped).status().code(),
              absl::StatusCode::kDataLoss)
        << bit;
  }
}

TEST(RecordFrame, REL_16_RandomDamageIsDetected) {
  std::mt19937 random(1);
  const std::string file = FrameRecord(std::string(300, 'p'));
  for (int i = 0; i < 10'000; ++i) {
    std::string damaged = file;
    for (uint32_t n = 1 + random() % 8; n > 0; --n) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    if (damaged == file) continue;
    EXPECT_FALSE(UnframeRecord(damaged).ok());
  }
}

TEST(RecordFrame, REL_26_VersionsAreTold) {
  // Fixed bytes, so that the frame cannot change by accident.
  const std::string golden(
      "WARRENRC\x04\x55\x6a\xad"
      "\x02\x00\x00\x00"
      "\x02\x00\x00\x00\x00\x00\x00\x00"
      "hi",
      26);
  EXPECT_EQ(FrameRecord("hi"), golden);
  EXPECT_EQ(*UnframeRecord(golden), "hi");
  const std::string version_1(
      "WARRENRC\xdf\x70\x0b\xd1"
      "\x01\x00\x00\x00"
      "\x02\x00\x00\x00\x00\x00\x00\x00"
      "hi",
      26);
  EXPECT_EQ(*UnframeRecord(version_1), "hi");
  // What a later build would write is whole: refused, not put away as torn.
  const std::string newer(
      "WARRENRC\x72\xb4\x65\x30"
      "\x03\x00\x00\x00"
      "\x02\x00\x00\x00\x00\x00\x00\x00"
      "hi",
      26);
  EXPECT_TRUE(absl::IsFailedPrecondition(UnframeRecord(newer).status()));
}

TEST_F(RecordFolderTest, WriteReadDelete) {
  const RecordDirectory directory = Open();
  EXPECT_TRUE(absl::IsNotFound(directory.Read(kId).status()));
  ASSERT_TRUE(directory.Write(kId, "one").ok());
  ASSERT_TRUE(directory.Write(kId, "two").ok());
  EXPECT_EQ(*directory.Read(kId), "two");
  EXPECT_THAT(*directory.Ids(), UnorderedElementsAre(kId));
  struct stat st;
  ASSERT_EQ(stat(Path(kId + "/record.pb").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  EXPECT_TRUE(directory.Delete(kId).ok());
  EXPECT_TRUE(directory.Delete(kId).ok());
  EXPECT_THAT(*directory.Ids(), IsEmpty());
}

TEST_F(RecordFolderTest, RewritingMakesNoInodes) {
  const RecordDirectory directory = Open();
  std::set<ino_t> inodes;
  for (const size_t size : {10, 20'000, 0, 5'000, 4'999, 70'000, 1}) {
    const std::string payload(size, 'p');
    ASSERT_TRUE(directory.Write(kId, payload).ok());
    EXPECT_EQ(*directory.Read(kId), payload);
    struct stat st;
    ASSERT_EQ(stat(Path(kId + "/record.pb").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600u);
    inodes.insert(st.st_ino);
  }
  EXPECT_EQ(inodes.size(), 2u);
  ASSERT_TRUE(directory.Delete(kId).ok());
  EXPECT_FALSE(std::filesystem::exists(Path(kId)));
}

// A write that a crash cut short at any byte, while the record is whole.
TEST_F(RecordFolderTest, REL_16_ATornSpareDoesNoHarm) {
  const RecordDirectory directory = Open();
  const std::string next = FrameRecord("the next state");
  for (size_t size = 0; size <= next.size(); ++size) {
    ASSERT_TRUE(directory.Write(kId, "a longer state from before").ok());
    std::ofstream(Path(kId) + "/.record.pb.spare", std::ios::binary)
        << next.substr(0, size);
    EXPECT_EQ(*directory.Read(kId), "a longer state from before");
    ASSERT_TRUE(directory.Write(kId, "after").ok());
    EXPECT_EQ(*directory.Read(kId), "after");
  }
}

// A crash in Delete, or in the first write: nothing was promised.
TEST_F(RecordFolderTest, REL_16_ASpareAloneIsNoRecord) {
  const RecordDirectory directory = Open();
  ASSERT_TRUE(directory.Write(kId, "one").ok());
  ASSERT_TRUE(directory.Write(kId, "two").ok());
  std::filesystem::remove(Path(kId + "/record.pb"));
  EXPECT_TRUE(absl::IsNotFound(directory.Read(kId).status()));
  ASSERT_TRUE(directory.Delete(kId).ok());
  EXPECT_FALSE(std::filesystem::exists(Path(kId)));
}

TEST_F(RecordFolderTest, REL_16_AnOddSpareIsReplaced) {
  const RecordDirectory directory = Open();
  const std::string spare = Path(kId + "/.record.pb.spare");
  const std::string canary = root_ + "/canary";
  std::ofstream(canary) << "canary";
  const std::function<void()> odd[] = {
      [&] { std::filesystem::create_directories(spare + "/x"); },
      [&] { std::filesystem::create_symlink(canary, spare); },
      [&] { std::filesystem::create_hard_link(canary, spare); },
      [&] { ASSERT_EQ(mkfifo(spare.c_str(), 0600), 0); },
  };
  for (const auto& make : odd) {
    ASSERT_TRUE(directory.Write(kId, "one").ok());
    std::filesystem::remove_all(spare);
    make();
    EXPECT_EQ(*directory.Read(kId), "one");
    ASSERT_TRUE(directory.Write(kId, "two").ok());
    EXPECT_EQ(*directory.Read(kId), "two");
    std::filesystem::remove_all(spare);
    make();
    ASSERT_TRUE(directory.Delete(kId).ok());
    EXPECT_FALSE(std::filesystem::exists(Path(kId)));
  }
  std::string content;
  std::ifstream(canary) >> content;
  EXPECT_EQ(content, "canary");
}

// What a build that knew no spare left behind is read and written on.
TEST_F(RecordFolderTest, REL_26_ARecordWithoutASpareIsGoneOnWith) {
  const RecordDirectory directory = Open();
  WriteRaw(kId, FrameRecord("old"));
  EXPECT_EQ(*directory.Read(kId), "old");
  ASSERT_TRUE(directory.Write(kId, "new").ok());
  EXPECT_EQ(*directory.Read(kId), "new");
}

TEST_F(RecordFolderTest, DeleteDropsCutShortWritesAndKeepsTheRuntimesFiles) {
  const RecordDirectory directory = Open();
  ASSERT_TRUE(directory.Write(kId, "x").ok());
  std::ofstream(Path(kId + "/.record.pb.77.1")) << "half";
  ASSERT_TRUE(directory.Delete(kId).ok());
  EXPECT_FALSE(std::filesystem::exists(Path(kId)));
  ASSERT_TRUE(directory.Write(kId, "x").ok());
  std::filesystem::create_directories(Path(kId + "/rootfs/upper"));
  ASSERT_TRUE(directory.Delete(kId).ok());
  EXPECT_TRUE(std::filesystem::exists(Path(kId + "/rootfs/upper")));
  EXPECT_FALSE(std::filesystem::exists(Path(kId + "/record.pb")));
}

TEST_F(RecordFolderTest, ForeignNamesAreNotOurs) {
  const RecordDirectory directory = Open();
  std::filesystem::create_directories(Path("lost+found"));
  std::filesystem::create_directories(Path(std::string(64, 'G')));
  EXPECT_THAT(*directory.Ids(), IsEmpty());
}

TEST_F(RecordFolderTest, REL_16_OddShapesAreTornAndQuarantined) {
  const RecordDirectory directory = Open();
  const std::string as_directory(64, '1'), huge(64, '2'), link(64, '3'),
      fifo(64, '4'), not_a_directory(64, '5');
  std::filesystem::create_directories(Path(as_directory + "/record.pb/x"));
  WriteRaw(huge, std::string(33 << 20, 'x'));
  std::filesystem::create_directories(Path(link));
  std::filesystem::create_symlink("/etc/passwd", Path(link + "/record.pb"));
  std::filesystem::create_directories(Path(fifo));
  ASSERT_EQ(mkfifo(Path(fifo + "/record.pb").c_str(), 0600), 0);
  std::ofstream(Path(not_a_directory)) << "x";
  for (const std::string& id :
       {as_directory, huge, link, fifo, not_a_directory}) {
    EXPECT_EQ(directory.Read(id).status().code(), absl::StatusCode::kDataLoss)
        << directory.Read(id).status();
    const auto name = directory.Quarantine(id);
    ASSERT_TRUE(name.ok()) << name.status();
    EXPECT_TRUE(std::filesystem::exists(
        std::filesystem::symlink_status(root_ + "/quarantine/" + *name)));
    EXPECT_TRUE(absl::IsNotFound(directory.Read(id).status()));
  }
  EXPECT_TRUE(std::filesystem::exists("/etc/passwd"));
}

TEST_F(RecordFolderTest, QuarantineKeepsEarlierOnes) {
  const RecordDirectory directory = Open();
  WriteRaw(kId, "torn");
  EXPECT_EQ(*directory.Quarantine(kId), "things-" + kId + ".0");
  WriteRaw(kId, "torn again");
  EXPECT_EQ(*directory.Quarantine(kId), "things-" + kId + ".1");
}

TEST(Ids, AreRandomHex) {
  const std::string a = *NewId();
  EXPECT_TRUE(IsId(a));
  EXPECT_NE(a, *NewId());
  EXPECT_FALSE(IsIdPrefix(""));
  EXPECT_FALSE(IsIdPrefix("ABC"));
  EXPECT_FALSE(IsIdPrefix("../x"));
  EXPECT_FALSE(IsIdPrefix(std::string(65, 'a')));
  EXPECT_TRUE(IsIdPrefix("0a"));
}

}  // namespace
}  // namespace warren::agent
