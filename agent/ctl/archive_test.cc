#include "agent/ctl/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "runtime/base/file.h"

namespace warren::agent::ctl {
namespace {

using ::testing::ElementsAre;

class ArchiveTest : public ::testing::Test {
 protected:
  ArchiveTest() {
    std::string pattern = "/tmp/archive_test.XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    fd_ = base::OpenAt(AT_FDCWD, directory_, O_PATH | O_DIRECTORY).value();
  }
  ~ArchiveTest() override {
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, directory_).ok());
  }

  void Put(const std::string& directory, const std::string& name,
           const std::string& content) {
    const base::UniqueFd fd =
        base::MakeDirs(AT_FDCWD, directory_ + directory, 0755).value();
    ASSERT_TRUE(base::WriteFileAtomic(fd.get(), name, content, 0644).ok());
  }

  std::string directory_;
  base::UniqueFd fd_;
};

// "name=content" of each entry.
std::vector<std::string> ReadTar(const std::string& tar) {
  std::vector<std::string> entries;
  archive* reader = archive_read_new();
  archive_read_support_format_tar(reader);
  archive_read_open_memory(reader, tar.data(), tar.size());
  archive_entry* entry = nullptr;
  while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
    std::string content(archive_entry_size(entry), '\0');
    archive_read_data(reader, content.data(), content.size());
    entries.push_back(std::string(archive_entry_pathname(entry)) + "=" +
                      content);
  }
  archive_read_free(reader);
  return entries;
}

TEST_F(ArchiveTest, LayoutBecomesATar) {
  Put("", "oci-layout", "L");
  Put("", "index.json", "I");
  Put("/blobs/sha256", "bb", "2");
  Put("/blobs/sha256", "aa", "1");
  Put("", "unrelated", "?");
  std::string tar;
  ASSERT_TRUE(WriteLayoutTar(fd_.get(), [&](absl::string_view data) {
                tar.append(data.data(), data.size());
                return absl::OkStatus();
              }).ok());
  EXPECT_THAT(ReadTar(tar),
              ElementsAre("oci-layout=L", "index.json=I", "blobs/sha256/aa=1",
                          "blobs/sha256/bb=2"));
}

TEST_F(ArchiveTest, RefusesOtherFolders) {
  Put("", "index.json", "I");
  const absl::Status status = WriteLayoutTar(
      fd_.get(), [](absl::string_view) { return absl::OkStatus(); });
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
}

TEST_F(ArchiveTest, FollowsNoSymlink) {
  Put("", "oci-layout", "L");
  Put("/blobs/sha256", "aa", "1");
  ASSERT_EQ(::symlinkat("/etc/passwd", fd_.get(), "index.json"), 0);
  EXPECT_FALSE(WriteLayoutTar(fd_.get(), [](absl::string_view) {
                 return absl::OkStatus();
               }).ok());
}

TEST_F(ArchiveTest, ErrorOfTheSinkComesBack) {
  Put("", "oci-layout", "L");
  Put("", "index.json", "I");
  Put("/blobs/sha256", "aa", std::string(1 << 20, 'x'));
  const absl::Status status = WriteLayoutTar(fd_.get(), [](absl::string_view) {
    return absl::CancelledError("enough");
  });
  EXPECT_EQ(status, absl::CancelledError("enough"));
}

}  // namespace
}  // namespace warren::agent::ctl
