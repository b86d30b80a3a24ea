#ifndef WARREN_AGENT_PODS_RECONCILE_LOOP_H_
#define WARREN_AGENT_PODS_RECONCILE_LOOP_H_

#include <absl/base/thread_annotations.h>
#include <absl/time/time.h>

#include <string>
#include <thread>
#include <vector>

#include "agent/pods/reconciler.h"
#include "agent/store/store.h"
#include "runtime/base/mutex.h"

namespace warren::agent {

// Looks again, in a thread of its own, at the objects that a reconciler could
// not see through: soon at first, then ever more seldom, until none is left.
// What comes of it goes to the store's problem sink, one sentence each.
// Thread-safe.
class ReconcileLoop {
 public:
  // The time between two looks doubles from the first to the last of these.
  static constexpr absl::Duration kFirstPause = absl::Milliseconds(500);
  static constexpr absl::Duration kLongestPause = absl::Seconds(30);

  // `reconciler` has run; it and the store are borrowed, and nobody else uses
  // the reconciler from now on. `unknown` is what its run reported.
  ReconcileLoop(Reconciler* reconciler, const Store* store,
                std::vector<std::string> unknown);
  // Waits for the look under way, at most Reconciler::kPatience.
  ~ReconcileLoop();

  // Looks at once.
  void Hurry();

  // What nobody could tell at the last look, one sentence each. Does not block.
  std::vector<std::string> unknown() const;

 private:
  void Work();
  // Waits until the next look is due; false: the end has come.
  bool Pause(absl::Duration pause);

  Reconciler* const reconciler_;
  const Store* const store_;
  mutable base::Mutex mutex_;
  base::Condition changed_;
  std::vector<std::string> unknown_ ABSL_GUARDED_BY(mutex_);
  bool hurry_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_RECONCILE_LOOP_H_
