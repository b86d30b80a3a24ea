#ifndef WARREN_RUNTIME_IMAGE_PULL_PULL_JOB_H_
#define WARREN_RUNTIME_IMAGE_PULL_PULL_JOB_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "runtime/base/mutex.h"
#include "runtime/image/image_store.h"
#include "runtime/image/pull/image_puller.h"
#include "runtime/image/pull/layer_fetch.h"

namespace warren::image {

// What the callers of one pull share: its layers, its end, and how many still
// wait. Thread-safe.
class PullJob {
 public:
  using Result = absl::StatusOr<std::shared_ptr<const Image>>;

  // One more caller; false when the last one has left already.
  bool Join() ABSL_LOCKS_EXCLUDED(mutex_);
  // One less; the last one stops the pull.
  void Leave() ABSL_LOCKS_EXCLUDED(mutex_);
  std::stop_token stop() const { return stop_.get_token(); }
  // Whoever still waits gets kCancelled.
  void Stop() { stop_.request_stop(); }

  // The layers, before they are begun; then each of them.
  void SetLayers(std::vector<LayerProgress> layers) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetFetch(size_t layer, std::shared_ptr<LayerFetch> fetch)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Once.
  void Finish(Result result) ABSL_LOCKS_EXCLUDED(mutex_);

  std::optional<Result> result() const ABSL_LOCKS_EXCLUDED(mutex_);
  PullProgress progress() const ABSL_LOCKS_EXCLUDED(mutex_);

  // PullTicket::Watch; the number ends it.
  uint64_t Watch(std::function<void()> wake) ABSL_LOCKS_EXCLUDED(mutex_);
  void Unwatch(uint64_t watch) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  std::stop_source stop_;
  mutable base::Mutex mutex_;
  int callers_ ABSL_GUARDED_BY(mutex_) = 0;
  bool left_ ABSL_GUARDED_BY(mutex_) = false;  // by the last caller
  PullProgress ProgressLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::vector<LayerProgress> layers_ ABSL_GUARDED_BY(mutex_);
  // In the order of layers_; null before they are begun.
  std::vector<std::shared_ptr<LayerFetch>> fetches_ ABSL_GUARDED_BY(mutex_);
  std::optional<Result> result_ ABSL_GUARDED_BY(mutex_);
  // Called with the mutex held, so that Unwatch() waits for one under way.
  std::map<uint64_t, std::function<void()>> watches_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_watch_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_PULL_PULL_JOB_H_
