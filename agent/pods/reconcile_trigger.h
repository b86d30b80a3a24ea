#ifndef WARREN_AGENT_PODS_RECONCILE_TRIGGER_H_
#define WARREN_AGENT_PODS_RECONCILE_TRIGGER_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include <functional>
#include <utility>

#include "agent/pods/reconcile_queue.h"

namespace warren::agent {

// How managers tell the reconcile loop that something is left to do. A trigger
// only hastens: what nobody hears is found by the loop's next scan.
// Thread-safe.
class ReconcileTrigger {
 public:
  using Listener = std::function<void(const ReconcileKey&)>;

  // Calls the listener, which does not block.
  void Fire(const ReconcileKey& key) const {
    absl::ReaderMutexLock lock(&mutex_);
    if (listener_) listener_(key);
  }
  // {}: nobody listens. The one before is not called any more on return.
  void Set(Listener listener) {
    absl::MutexLock lock(&mutex_);
    listener_ = std::move(listener);
  }

 private:
  mutable absl::Mutex mutex_;
  Listener listener_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_RECONCILE_TRIGGER_H_
