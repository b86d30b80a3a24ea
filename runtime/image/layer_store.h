#ifndef WARREN_RUNTIME_IMAGE_LAYER_STORE_H_
#define WARREN_RUNTIME_IMAGE_LAYER_STORE_H_

#include <absl/base/thread_annotations.h>
#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/base/mutex.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/compression.h"
#include "runtime/image/digest.h"
#include "runtime/image/layer_stack.h"
#include "runtime/image/leanings_store.h"
#include "runtime/image/unpacker.h"

namespace warren::image {

class LayerStore;

// A claim on one unpacked layer: while it lives the directory stays. Released
// from any thread; releasing deletes nothing (LayerStore::Sweep does).
class LayerLease {
 public:
  LayerLease(std::shared_ptr<LayerStore> store, Digest diff_id)
      : store_(std::move(store)), diff_id_(std::move(diff_id)) {}
  ~LayerLease();
  LayerLease(const LayerLease&) = delete;
  LayerLease& operator=(const LayerLease&) = delete;

  const Digest& diff_id() const { return diff_id_; }

 private:
  const std::shared_ptr<LayerStore> store_;
  const Digest diff_id_;
};

// Directories layers/<diff ID>, each unpacked once, and beside them what each
// layer leans on (leanings_store.h), written before the layer gets its name. A
// layer is
//
//   absent --Ensure--> busy --unpacked, verified, renamed--> known --Sweep-->
//
// The layers that complete an image (completion.h) lie here too, and are
// leased, claimed and swept like the others.
//
// Directories found on disk at start are not known: what a crash left may be
// half-written. They become known when an image or a container's record
// claims them (Claim), because those exist only for layers that were complete
// and synced. Thread-safe; Ensure of one layer from two threads unpacks once.
class LayerStore : public std::enable_shared_from_this<LayerStore> {
 public:
  // `root`: the directory of the store, with "layers" in it; `unpacker`: both
  // borrowed, and longer-lived than anything but a lease. `tmp`: path below
  // `root` of a directory where half-made layers may lie.
  LayerStore(int root, std::string tmp, const Unpacker* unpacker)
      : root_(root),
        tmp_(std::move(tmp)),
        unpacker_(unpacker),
        leanings_(root) {}

  // The layer, unpacked from `blob` if need be. A known layer is not trusted
  // to be what `blob` holds: a blob that was not yet seen to unpack to this
  // diff ID is unpacked, compared and thrown away. kInvalidArgument when the
  // diff ID is another. kResourceExhausted: more than `max_entries` files and
  // directories, or than there is room for.
  absl::StatusOr<std::shared_ptr<LayerLease>> Ensure(const Digest& diff_id,
                                                     const Digest& blob_digest,
                                                     int blob,
                                                     Compression compression,
                                                     uint64_t max_entries);

  // The same for a blob that is on its way: `unpack` makes the directory that
  // it is given, a path below the root, and unpacks the blob there; it vouches
  // for the digest of the blob. Not called when the layer is known with that
  // blob. As bytes may come slowly, this waits for nobody who makes the same
  // layer, and nobody waits for it: of several the first to end counts.
  using UnpackInto =
      absl::FunctionRef<absl::StatusOr<UnpackReport>(const std::string& name)>;
  absl::StatusOr<std::shared_ptr<LayerLease>> EnsureStreamed(
      const Digest& diff_id, const Digest& blob_digest, UnpackInto unpack);

  // The layer `id`, which `make` fills from other layers if it is not there: an
  // empty directory, thrown away when `make` fails.
  absl::StatusOr<std::shared_ptr<LayerLease>> EnsureMade(
      const Digest& id,
      absl::FunctionRef<absl::StatusOr<LayerSize>(int directory)> make);

  // A layer for a stack: its directory and what it leans on. kUnavailable when
  // that cannot be read; the next Ensure of the layer unpacks it again.
  absl::StatusOr<StackedLayer> Open(const Digest& diff_id);

  // A layer that an image or a record says is there. kNotFound when it is
  // not. `size` is measured when it is not given and Usage asks.
  absl::StatusOr<std::shared_ptr<LayerLease>> Claim(
      const Digest& diff_id, std::optional<LayerSize> size,
      const std::vector<Digest>& verified_blobs);

  // A layer that a record of a living container names, when a look at it
  // failed: kept by its name, whatever is there. What stands in its place is
  // never replaced, because an overlay may lie on it.
  std::shared_ptr<LayerLease> Pin(const Digest& diff_id);

  // While held back, Sweep and SweepUnknown delete nothing: which layers are
  // needed is not known whole.
  void HoldBack(bool held_back);

  LayerSize SizeOf(const Digest& diff_id) const;
  // True when the top directory hides everything below the layer. An error
  // carries errno: nobody knows.
  absl::StatusOr<bool> IsOpaque(const Digest& diff_id) const;

  // Sum of all known layers.
  LayerSize Usage();

  // Deletes known layers without a lease.
  absl::Status Sweep();
  // Deletes directories that are neither known nor busy.
  absl::Status SweepUnknown();

 private:
  friend class LayerLease;
  struct Layer {
    bool busy = false;
    bool known = false;
    bool pinned = false;  // see Pin
    bool noted = false;   // what it leans on is on disk
    int leases = 0;       // and those who fill it
    std::optional<LayerSize> size;
    std::set<Digest> verified_blobs;
  };

  std::shared_ptr<LayerLease> LeaseLocked(const Digest& diff_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Release(const Digest& diff_id);
  // Whether a layer must be filled. True: it is kept for that from now on, and
  // if `alone`, it is busy as well; then this waits while it is.
  bool BeginFill(const Digest& id,
                 absl::FunctionRef<bool(const Layer&)> is_whole, bool alone,
                 std::shared_ptr<LayerLease>* lease);
  // Ends it, with the same `alone`: installs what was filled, and has `note`
  // change the entry.
  absl::StatusOr<std::shared_ptr<LayerLease>> EndFill(
      const Digest& id, const std::string& name, bool alone,
      const absl::StatusOr<LayerSize>& filled,
      absl::FunctionRef<absl::Status(Layer*)> note);
  // What both kinds of Ensure do.
  absl::StatusOr<std::shared_ptr<LayerLease>> Unpacked(
      const Digest& diff_id, const Digest& blob_digest, bool alone,
      UnpackInto unpack);
  absl::StatusOr<base::UniqueFd> MakeTemporary(const std::string& name) const;
  absl::Status Install(const std::string& name, const Digest& diff_id,
                       bool keep_existing);
  std::string TemporaryName();
  absl::Status Discard(const std::string& hex, const std::string& name);

  const int root_;
  const std::string tmp_;
  const Unpacker* const unpacker_;
  const LeaningsStore leanings_;
  mutable base::Mutex mutex_;
  base::Condition idle_;  // a layer is not busy any more
  bool held_back_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<Digest, Layer> layers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_LAYER_STORE_H_
