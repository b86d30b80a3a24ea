#ifndef WARREN_RUNTIME_IMAGE_LEANINGS_STORE_H_
#define WARREN_RUNTIME_IMAGE_LEANINGS_STORE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <set>

#include "runtime/image/digest.h"
#include "runtime/image/leanings.h"

namespace warren::image {

// Files leanings/<diff ID>: what each unpacked layer leans on, of every layer
// that this version unpacked (an empty file when it is nothing). A file is
// whole or missing; it is on disk for good when the caller has synced the file
// system. Errors carry errno, where nothing else is said. Thread-safe.
class LeaningsStore {
 public:
  // `root`: the directory of the store, with "leanings" in it; borrowed.
  explicit LeaningsStore(int root) : root_(root) {}

  // `durable`: on disk before this returns.
  absl::Status Write(const Digest& diff_id, const Leanings& leanings,
                     bool durable) const;
  // kNotFound when there is none, kDataLoss when it is damaged.
  absl::StatusOr<Leanings> Read(const Digest& diff_id) const;
  // False also when a look fails: the layer is unpacked once more then.
  bool Has(const Digest& diff_id) const;
  // A missing one is OK.
  absl::Status Remove(const Digest& diff_id) const;
  // Removes all that are not `needed`, half-written ones too.
  absl::Status RemoveExcept(const std::set<Digest>& needed) const;

 private:
  const int root_;
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_LEANINGS_STORE_H_
