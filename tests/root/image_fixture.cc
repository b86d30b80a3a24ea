#include "tests/root/image_fixture.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/base/file.h"
#include "runtime/image/digest.h"

namespace warren::image {
namespace {

void Walk(int directory, const std::string& prefix,
          std::map<std::string, std::string>* ledger) {
  const auto names = base::ListDir(directory, ".");
  ASSERT_TRUE(names.ok()) << names.status();
  for (const std::string& name : *names) {
    struct stat st;
    ASSERT_EQ(fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW), 0);
    const std::string path = absl::StrCat(prefix, name);
    std::string what = absl::StrCat(absl::Hex(st.st_mode), " ", st.st_uid, " ",
                                    st.st_gid, " ", st.st_rdev);
    if (S_ISREG(st.st_mode)) {
      const auto data = base::ReadFileAt(directory, name, 256 << 20);
      ASSERT_TRUE(data.ok()) << data.status();
      absl::StrAppend(&what, " ", st.st_size, " ", Digest::Of(*data).hex());
    }
    (*ledger)[path] = what;
    if (!S_ISDIR(st.st_mode)) continue;
    const auto sub =
        base::OpenAt(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    ASSERT_TRUE(sub.ok()) << sub.status();
    Walk(sub->get(), path + "/", ledger);
  }
}

}  // namespace

std::map<std::string, std::string> LedgerOf(const std::string& directory) {
  std::map<std::string, std::string> ledger;
  const auto fd = base::OpenAt(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY);
  EXPECT_TRUE(fd.ok()) << fd.status();
  if (fd.ok()) Walk(fd->get(), "", &ledger);
  return ledger;
}

void ImageStoreTest::SetUp() {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to unpack layers";
  char name[] = "/tmp/warren-image-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  directory_ = name;
  root_ = directory_ + "/images";
  Reopen();
}

void ImageStoreTest::TearDown() {
  store_.reset();
  if (!directory_.empty()) {
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, directory_).ok());
  }
}

void ImageStoreTest::Reopen() {
  store_.reset();
  auto store = LocalImageStore::Open({root_, WARREN_UNPACK_PROGRAM, limits_});
  ASSERT_TRUE(store.ok()) << store.status();
  store_ = *std::move(store);
}

absl::StatusOr<std::shared_ptr<const Image>> ImageStoreTest::Import(
    const std::string& archive, const std::string& reference, size_t chunk) {
  auto session = store().BeginImport(reference, /*pinned=*/false);
  if (!session.ok()) return session.status();
  for (size_t at = 0; at < archive.size(); at += chunk) {
    const absl::Status status =
        (*session)->Write(absl::string_view(archive).substr(at, chunk));
    if (!status.ok()) return status;
  }
  return (*session)->Commit();
}

absl::StatusOr<std::shared_ptr<const Image>> ImageStoreTest::Import(
    const testing::LayoutSource& source, const std::string& reference) {
  return Import(testing::BuildLayout(source), reference);
}

absl::StatusOr<std::shared_ptr<const Image>> ImageStoreTest::ImportLayer(
    const std::string& tar, Compression compression,
    const std::string& reference) {
  testing::LayoutSource source;
  source.layers = {{tar, compression}};
  return Import(source, reference);
}

std::map<std::string, std::string> ImageStoreTest::Ledger() const {
  return LedgerOf(root_);
}

void UnpackedLayerTest::Unpack(const std::string& tar) {
  const auto image = ImportLayer(tar);
  ASSERT_TRUE(image.ok()) << image.status();
  ASSERT_EQ((*image)->layer_dirs.size(), 1u);
  directory_ = (*image)->layer_dirs[0];
}

struct stat UnpackedLayerTest::Stat(const std::string& path) const {
  struct stat st = {};
  EXPECT_EQ(lstat((directory_ + "/" + path).c_str(), &st), 0) << path;
  return st;
}

std::string UnpackedLayerTest::Read(const std::string& path) const {
  const auto data =
      base::ReadFileAt(AT_FDCWD, directory_ + "/" + path, 1 << 30);
  return data.ok() ? *data : std::string(data.status().message());
}

std::string UnpackedLayerTest::Xattr(const std::string& path,
                                     const std::string& name) const {
  char value[256];
  const ssize_t n = lgetxattr((directory_ + "/" + path).c_str(), name.c_str(),
                              value, sizeof(value));
  return n < 0 ? strerror(errno) : std::string(value, static_cast<size_t>(n));
}

bool UnpackedLayerTest::IsWhiteout(const std::string& path) const {
  const struct stat st = Stat(path);
  return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

void HostileLayerTest::SetUp() {
  limits().layer_bytes = 64 << 20;
  limits().layer_entries = 2000;
  ImageStoreTest::SetUp();
  if (IsSkipped()) return;
  canary_ = root() + "-canary";
  ASSERT_EQ(mkdir(canary_.c_str(), 0755), 0);
  const auto file =
      base::OpenAt(AT_FDCWD, canary_ + "/file", O_WRONLY | O_CREAT, 0644);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(base::WriteFd(file->get(), "canary").ok());
}

void HostileLayerTest::ExpectRefused(const std::vector<Hostile>& corpus,
                                     Compression compression) {
  const auto store_before = Ledger();
  const auto canary_before = LedgerOf(canary_);
  for (const Hostile& hostile : corpus) {
    const auto image = ImportLayer(hostile.tar, compression);
    EXPECT_EQ(image.status().code(), hostile.code)
        << hostile.what << ": " << image.status();
    EXPECT_LT(image.status().message().size(), 1024u);
    EXPECT_EQ(Ledger(), store_before) << hostile.what;
    EXPECT_EQ(LedgerOf(canary_), canary_before) << hostile.what;
  }
}

void HostileLayerTest::ExpectConfined(const std::vector<Hostile>& corpus) {
  const auto canary_before = LedgerOf(canary_);
  for (const Hostile& hostile : corpus) {
    const auto image = ImportLayer(hostile.tar);
    EXPECT_TRUE(image.ok()) << hostile.what << ": " << image.status();
    EXPECT_EQ(LedgerOf(canary_), canary_before) << hostile.what;
    EXPECT_TRUE(store().Remove("test/image:1").ok());
  }
}

testing::LayoutSource SmallImage(const std::string& content,
                                 Compression compression) {
  testing::LayoutSource source;
  source.layers = {
      {testing::TarBuilder().File("file", content).Build(), compression}};
  return source;
}

}  // namespace warren::image
