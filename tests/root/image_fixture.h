#ifndef WARREN_TESTS_ROOT_IMAGE_FIXTURE_H_
#define WARREN_TESTS_ROOT_IMAGE_FIXTURE_H_

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/image/local_image_store.h"
#include "runtime/image/testing/layout_builder.h"
#include "runtime/image/testing/tar_builder.h"

namespace warren::image {

// A store in a temporary directory, unpacking with the real helper. Skips when
// not root.
class ImageStoreTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Closes the store, if any, and opens it again, as a restart does.
  void Reopen();
  LocalImageStore& store() { return *store_; }
  const std::string& root() const { return root_; }
  Limits& limits() { return limits_; }

  // Streams `archive` in pieces of `chunk` bytes and commits.
  absl::StatusOr<std::shared_ptr<const Image>> Import(
      const std::string& archive, const std::string& reference = "test/image:1",
      size_t chunk = 64 << 10);
  absl::StatusOr<std::shared_ptr<const Image>> Import(
      const testing::LayoutSource& source,
      const std::string& reference = "test/image:1");
  // An image of one layer.
  absl::StatusOr<std::shared_ptr<const Image>> ImportLayer(
      const std::string& tar, Compression compression = Compression::kGzip,
      const std::string& reference = "test/image:1");

  // Everything in the store's directory: path -> type, size and digest of
  // files.
  std::map<std::string, std::string> Ledger() const;

 private:
  std::string directory_;
  std::string root_;
  Limits limits_;
  std::unique_ptr<LocalImageStore> store_;
};

// One layer unpacked, and its directory looked at.
class UnpackedLayerTest : public ImageStoreTest {
 protected:
  // Imports an image of one layer and remembers its directory.
  void Unpack(const std::string& tar);
  const std::string& layer() const { return directory_; }
  // Of a path in the layer.
  struct stat Stat(const std::string& path) const;
  std::string Read(const std::string& path) const;
  // The error text when there is none.
  std::string Xattr(const std::string& path, const std::string& name) const;
  bool IsWhiteout(const std::string& path) const;

 private:
  std::string directory_;
};

// An archive that must be refused.
struct Hostile {
  std::string what;
  std::string tar;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

// Refusal of whole corpora, with a directory outside of the store that must not
// change. Layers may have 64 MiB and 2000 members.
class HostileLayerTest : public ImageStoreTest {
 protected:
  void SetUp() override;
  // Each archive as a layer fails with its code, and leaves the store and the
  // canary as they were.
  void ExpectRefused(const std::vector<Hostile>& corpus,
                     Compression compression = Compression::kGzip);
  // Each archive as a layer is taken, and the canary stays as it was.
  void ExpectConfined(const std::vector<Hostile>& corpus);
  const std::string& canary() const { return canary_; }

 private:
  std::string canary_;
};

class ImageHostile : public HostileLayerTest {};

// ImageStoreTest::Ledger of any directory.
std::map<std::string, std::string> LedgerOf(const std::string& directory);

// An image with one small file in one layer.
testing::LayoutSource SmallImage(const std::string& content,
                                 Compression compression = Compression::kGzip);

}  // namespace warren::image

#endif  // WARREN_TESTS_ROOT_IMAGE_FIXTURE_H_
