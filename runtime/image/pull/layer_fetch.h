#ifndef WARREN_RUNTIME_IMAGE_PULL_LAYER_FETCH_H_
#define WARREN_RUNTIME_IMAGE_PULL_LAYER_FETCH_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"
#include "runtime/image/layer_store.h"
#include "runtime/image/local_image_store.h"
#include "runtime/image/manifest.h"
#include "runtime/image/pull/image_puller.h"
#include "runtime/image/registry/registry_client.h"

namespace warren::image {

// One layer of an image that is pulled.
struct LayerWanted {
  Descriptor blob;
  Digest diff_id;
  Compression compression = Compression::kNone;
  uint64_t max_entries = 0;  // files and directories
};

// One layer on its way into the store: its blob arrives in a file and in
// warren-unpack at the same moment, and neither counts before both digests
// are right. Shared by all pulls that want the layer meanwhile (LayerFetches).
// Thread-safe.
class LayerFetch {
 public:
  // `store` is borrowed and longer-lived.
  LayerFetch(LocalImageStore* store, LayerWanted wanted);
  // The file goes.
  ~LayerFetch();

  // The work, once, on the thread of the call: until the layer is there, an
  // error, or a stop. `pull` is where it comes from.
  void Run(registry::Pull* pull);

  // One more pull waits; false when the last one has left already.
  bool Join() ABSL_LOCKS_EXCLUDED(mutex_);
  // One less; the last one stops the work and lets go of the layer.
  void Leave() ABSL_LOCKS_EXCLUDED(mutex_);

  // What the work came to; empty before its end.
  std::optional<absl::Status> end() const ABSL_LOCKS_EXCLUDED(mutex_);
  // After an end that is OK: gives `session`, a directory of the same file
  // system, the blob under its digest's hex digits.
  absl::Status LinkBlob(int session) const;
  // The same: the unpacked layer.
  std::shared_ptr<LayerLease> lease() const ABSL_LOCKS_EXCLUDED(mutex_);

  const LayerWanted& wanted() const { return wanted_; }
  LayerProgress progress() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  class Sink;

  absl::StatusOr<std::shared_ptr<LayerLease>> Work(registry::Pull* pull);
  // The blob into the file, and into warren-unpack with `directory` as target.
  absl::StatusOr<UnpackReport> FetchAndUnpack(registry::Pull* pull,
                                              const std::string& directory);
  // The blob alone, of a layer that is unpacked already.
  absl::Status FetchAlone(registry::Pull* pull);
  absl::Status Fetch(registry::Pull* pull, Sink* sink);
  base::Deadline deadline() const;
  // Of the whole work: a registry that sends a byte now and then holds a place
  // among the layers under way for so long.
  absl::Duration Patience() const;

  LocalImageStore* const store_;
  const LayerWanted wanted_;
  const std::string file_;  // path of the blob below the store's root
  std::stop_source stop_;
  base::Deadline over_ = base::Deadline::Never();  // set by Run()
  std::atomic<uint64_t> fetched_{0};
  std::atomic<LayerProgress::State> state_{LayerProgress::State::kWaiting};
  mutable base::Mutex mutex_;
  int pulls_ ABSL_GUARDED_BY(mutex_) = 0;
  bool left_ ABSL_GUARDED_BY(mutex_) = false;  // by the last pull
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<LayerLease> lease_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_PULL_LAYER_FETCH_H_
