#ifndef WARREN_RUNTIME_IMAGE_PULL_LAYER_FETCHES_H_
#define WARREN_RUNTIME_IMAGE_PULL_LAYER_FETCHES_H_

#include <absl/base/thread_annotations.h>
#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"
#include "runtime/base/workers.h"
#include "runtime/image/local_image_store.h"
#include "runtime/image/pull/layer_fetch.h"
#include "runtime/image/registry/registry_client.h"

namespace warren::image {

// The layers under way, so that what two pulls need is fetched once, and how
// many there are. Thread-safe.
class LayerFetches {
 public:
  struct Limits {
    int in_all = 32;
    int of_host = 8;
    int of_pull = 4;
  };

  // `store` is borrowed and longer-lived.
  static absl::StatusOr<std::unique_ptr<LayerFetches>> Start(
      LocalImageStore* store, const Limits& limits);
  // Waits for the work that is under way; nobody waits for its result any more.
  ~LayerFetches() = default;

  // A layer that somebody waits for. Dropped, he does not any more.
  class Part {
   public:
    Part(std::shared_ptr<LayerFetch> fetch, bool own)
        : fetch_(std::move(fetch)), own_(own) {}
    ~Part() { fetch_->Leave(); }
    Part(const Part&) = delete;
    Part& operator=(const Part&) = delete;

    const std::shared_ptr<LayerFetch>& fetch() const { return fetch_; }
    // False when it goes by way of somebody else's pull, who may have other
    // rights and other mirrors.
    bool own() const { return own_; }

   private:
    const std::shared_ptr<LayerFetch> fetch_;
    const bool own_;
  };

  // Fetches the layers of one pull: takes part in what is under way from the
  // same host already, begins the rest by way of `pull` from `host` as places
  // become free, and tells `begun` about each, with its number. What failed in
  // somebody else's pull is tried once more in this one. OK: all are there, in
  // the order of `wanted`, and have at most `max_entries` files and directories
  // together (else kResourceExhausted). The first error ends it, and so does
  // `deadline`: kCancelled, kDeadlineExceeded.
  using Begun =
      absl::FunctionRef<void(size_t, const std::shared_ptr<LayerFetch>&)>;
  absl::StatusOr<std::vector<std::unique_ptr<Part>>> Get(
      const std::vector<LayerWanted>& wanted, uint64_t max_entries,
      const std::shared_ptr<registry::Pull>& pull, const std::string& host,
      const base::Deadline& deadline, Begun begun) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // Host, blob, its size, diff ID: another host may be slow, or lie.
  using Key = std::tuple<std::string, Digest, uint64_t, Digest>;

  LayerFetches(LocalImageStore* store, const Limits& limits)
      : store_(store), limits_(limits) {}
  bool HasPlace(const registry::Pull* pull, const std::string& host) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes part in a fetch under way if it may be shared, or begins one; null
  // without a place for it.
  std::unique_ptr<Part> TryGet(const LayerWanted& wanted,
                               const std::shared_ptr<registry::Pull>& pull,
                               const std::string& host, bool share)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Work(const Key& key, const std::shared_ptr<LayerFetch>& fetch,
            const std::shared_ptr<registry::Pull>& pull,
            const std::string& host) ABSL_LOCKS_EXCLUDED(mutex_);

  LocalImageStore* const store_;
  const Limits limits_;
  mutable base::Mutex mutex_;
  base::Condition ended_;  // a fetch
  int in_all_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, int> of_host_ ABSL_GUARDED_BY(mutex_);
  std::map<const registry::Pull*, int> of_pull_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, std::shared_ptr<LayerFetch>> under_way_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<base::Workers> workers_;  // destroyed first
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_PULL_LAYER_FETCHES_H_
