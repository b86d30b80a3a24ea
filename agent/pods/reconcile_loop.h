#ifndef WARREN_AGENT_PODS_RECONCILE_LOOP_H_
#define WARREN_AGENT_PODS_RECONCILE_LOOP_H_

#include <absl/base/thread_annotations.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "agent/pods/reconcile_queue.h"
#include "agent/pods/reconcile_trigger.h"
#include "agent/pods/reconciler.h"
#include "agent/store/store.h"
#include "runtime/base/mutex.h"

namespace warren::agent {

// The one place where the agent does something by itself. A scan says what
// there is to do; it runs at the start, every kPeriod, and on demand. Exits,
// failed calls and detached pods trigger the step that they need, without a
// scan. What cannot be done is tried again after a pause that doubles, and is
// told once: when it fails for the first time, when the reason changes, and
// when it is over.
//
//   start, timer, Now() --> scan --\                      /--> done
//   exit, failed undo, detached -->+--> queue --> Settle --> busy: soon again
//                                  ^                 \--> failed, unknown:
//                                  |                        condition, pause
//                                  '---- due again <--------'
//
// kWorkers threads; of those at most kSlowWorkers do what may take long, so
// that neither kills nor looks wait for a tree that is being deleted.
// Thread-safe.
class ReconcileLoop {
 public:
  static constexpr absl::Duration kPeriod = absl::Seconds(60);
  // The pause after a failure doubles from the first to the last of these.
  static constexpr absl::Duration kFirstPause = absl::Milliseconds(500);
  static constexpr absl::Duration kLongestPause = absl::Seconds(30);
  // The same when a call works on the object.
  static constexpr absl::Duration kFirstTurn = absl::Milliseconds(50);
  static constexpr absl::Duration kLongestTurn = absl::Seconds(5);
  static constexpr int kWorkers = 4;
  static constexpr int kSlowWorkers = 3;

  // Takes sentences for the log: what was done without anybody asking.
  using NoteSink = std::function<void(absl::string_view)>;

  // `reconciler` has adopted; all are borrowed. Problems go to the store's
  // problem sink. The first scan starts at once.
  ReconcileLoop(Reconciler* reconciler, const Store* store,
                ReconcileTrigger* trigger, NoteSink notes = {});
  // Ends the waits of the steps under way, then waits for them.
  ~ReconcileLoop();

  // Scans now, and takes what pauses up again at once. Does not block.
  void Now();

  // What nobody could tell so far, one sentence each. Does not block.
  std::vector<std::string> unknown() const;
  // What was tried and could not be done so far, one sentence each. Does not
  // block.
  std::vector<std::string> problems() const;

 private:
  // Of a key that was not done at the last try.
  struct Open {
    ReconcileOutcome::Kind kind = ReconcileOutcome::Kind::kDone;
    std::string why;
    int tries = 0;  // in a row, of this kind
  };

  void Work();
  // Books what came of a step; how long to pause before the next.
  std::optional<absl::Duration> Book(const ReconcileKey& key,
                                     const ReconcileOutcome& outcome);
  void Note(const ReconcileReport& report) const;

  Reconciler* const reconciler_;
  const Store* const store_;
  ReconcileTrigger* const trigger_;
  const NoteSink notes_;
  ReconcileQueue queue_{kSlowWorkers};
  mutable base::Mutex mutex_;
  std::map<ReconcileKey, Open> open_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;  // last: they use the rest
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_RECONCILE_LOOP_H_
