#include "runtime/image/archive_reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "runtime/base/file.h"
#include "runtime/image/testing/layout_builder.h"
#include "runtime/image/testing/tar_builder.h"

namespace warren::image {
namespace {

using ::testing::HasSubstr;
using testing::TarBuilder;

class ArchiveReaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/warren-archive-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    path_ = name;
    auto directory = base::OpenAt(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(directory.ok());
    directory_ = *std::move(directory);
  }
  void TearDown() override {
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, path_).ok());
  }
  int directory() const { return directory_.get(); }

 private:
  std::string path_;
  base::UniqueFd directory_;
};

constexpr char kLayout[] = R"({"imageLayoutVersion":"1.0.0"})";

TEST_F(ArchiveReaderTest, PrefixesFoldersAndOldCompanions) {
  const std::string blob = "blob";
  const std::string tar = TarBuilder()
                              .Directory("./")
                              .Directory("./blobs/")
                              .Directory("./blobs/sha256")
                              .File("./oci-layout", kLayout)
                              .File("./" + testing::BlobPath(blob), blob)
                              .File("manifest.json", "[whatever]")
                              .File("repositories", "{}")
                              .File("./index.json", "{}")
                              .Build();
  ArchiveReader reader(directory(), 1 << 20);
  for (const char c : tar) {
    ASSERT_TRUE(reader.Write(absl::string_view(&c, 1)).ok());
  }
  ASSERT_TRUE(reader.Finish().ok());
  EXPECT_EQ(reader.index_json(), "{}");
  ASSERT_EQ(reader.blobs().size(), 1u);
  EXPECT_EQ(reader.blobs().at(Digest::Of(blob)), 4u);
  EXPECT_EQ(*base::ReadFileAt(directory(), Digest::Of(blob).hex()), blob);
}

TEST_F(ArchiveReaderTest, IMG_4_RefusedMembers) {
  const std::string hex = Digest::Of("x").hex();
  for (const std::string& path :
       {std::string("../oci-layout"), std::string("/oci-layout"),
        std::string("a"), "blobs/sha256/" + hex + "/x", "blobs/" + hex,
        "blobs/sha256/x" + hex.substr(1), "blobs/sha256/" + hex}) {
    ArchiveReader reader(directory(), 1 << 20);
    EXPECT_FALSE(reader.Write(TarBuilder().File(path, "y").Build()).ok())
        << path;
    // And it stays refused.
    EXPECT_FALSE(reader.Write("").ok());
    EXPECT_FALSE(reader.Finish().ok());
    EXPECT_TRUE(base::RemoveTree(directory(), hex).ok());
  }
  ArchiveReader reader(directory(), 1 << 20);
  EXPECT_FALSE(reader.Write(TarBuilder().Directory("etc").Build()).ok());
  ArchiveReader link(directory(), 1 << 20);
  EXPECT_FALSE(
      link.Write(TarBuilder().Symlink("index.json", "/etc/passwd").Build())
          .ok());
}

TEST_F(ArchiveReaderTest, NamesTheCompression) {
  for (const auto& [compression, name] :
       {std::pair(Compression::kGzip, "gzip"),
        std::pair(Compression::kZstd, "zstd")}) {
    ArchiveReader reader(directory(), 1 << 20);
    const absl::Status status = reader.Write(
        testing::Compress(TarBuilder().File("a").Build(), compression));
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
}

TEST_F(ArchiveReaderTest, IMG_3_Budgets) {
  ArchiveReader small(directory(), 100);
  EXPECT_TRUE(absl::IsResourceExhausted(small.Write(std::string(101, '\0'))));
  // Refused by the stated size, before the bytes come.
  testing::Member huge;
  huge.name = "blobs/sha256/" + Digest::Of("x").hex();
  huge.size = 1 << 30;
  ArchiveReader stated(directory(), 1 << 20);
  EXPECT_TRUE(
      absl::IsResourceExhausted(stated.Write(testing::TarHeaderBlock(huge))));
  huge.name = "index.json";
  huge.size = (4 << 20) + 1;
  ArchiveReader index(directory(), 1 << 30);
  EXPECT_TRUE(
      absl::IsResourceExhausted(index.Write(testing::TarHeaderBlock(huge))));
  TarBuilder many;
  for (uint64_t i = 0; i <= kMaxArchiveEntries; ++i) many.Directory("blobs");
  ArchiveReader entries(directory(), 1 << 30);
  EXPECT_TRUE(absl::IsResourceExhausted(entries.Write(many.Build())));
}

}  // namespace
}  // namespace warren::image
