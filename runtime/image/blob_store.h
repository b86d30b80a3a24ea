#ifndef WARREN_RUNTIME_IMAGE_BLOB_STORE_H_
#define WARREN_RUNTIME_IMAGE_BLOB_STORE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "runtime/base/unique_fd.h"
#include "runtime/image/digest.h"

namespace warren::image {

// blobs/sha256/<hex>: files whose content has the digest in their name. They
// are verified before they get here; documents are verified again when they
// are read. Thread-safe as far as the file system is; the owner keeps Install
// and RemoveExcept apart.
class BlobStore {
 public:
  // `root`: the directory of the store, borrowed and longer-lived.
  explicit BlobStore(int root) : root_(root) {}

  // Renames the verified file from_dir/name here; one that is there is
  // replaced by the same bytes.
  absl::Status Install(int from_dir, const std::string& name,
                       const Digest& digest);

  // Gives the file the name `name`, a path below the root, too; false when
  // there is none.
  absl::StatusOr<bool> Link(const Digest& digest,
                            const std::string& name) const;

  // The bytes of a manifest or configuration, at most kMaxDocumentBytes.
  // kNotFound when there is none, kDataLoss when they no longer match.
  absl::StatusOr<std::string> ReadDocument(const Digest& digest) const;

  absl::Status Remove(const Digest& digest);
  // Removes every file that is not in `keep`.
  absl::Status RemoveExcept(const std::set<Digest>& keep);

  // Bytes and count of all blobs.
  absl::Status Usage(uint64_t* bytes, uint64_t* inodes) const;

 private:
  const int root_;
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_BLOB_STORE_H_
