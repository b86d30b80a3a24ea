#ifndef WARREN_AGENT_PODS_RECONCILE_QUEUE_H_
#define WARREN_AGENT_PODS_RECONCILE_QUEUE_H_

#include <absl/base/thread_annotations.h>
#include <absl/time/time.h>

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "runtime/base/mutex.h"

namespace warren::agent {

// What a step of the reconcile loop is about.
struct ReconcileKey {
  enum class Kind {
    kScan,         // what is there to do? no id
    kRecords,      // records that could not be read; no id
    kLeftovers,    // what an ended container left running
    kLinks,        // links of pods that were just detached; no id
    kOrphanLinks,  // links without a pod; no id
    kReadyPod,     // is a ready pod sandbox still what it was?
    kContainer,    // a container with a record
    kSandbox,      // a pod sandbox with a record
    kOrphanContainer,
    kOrphanSandbox,
    kImages,  // image data that nobody needs; no id
  };
  Kind kind = Kind::kScan;
  std::string id = {};
  auto operator<=>(const ReconcileKey&) const = default;

  // May take long: it waits for deaths or deletes trees.
  bool slow() const { return kind >= Kind::kContainer; }
};

// What is to be looked at, and when. A key is there once however often it is
// added, and at most one worker has it. Of the keys that are due the one that
// was due first comes first. Those that may take long are never with more than
// `slow_limit` workers, so that with more workers than that the others always
// go on. Thread-safe.
class ReconcileQueue {
 public:
  explicit ReconcileQueue(int slow_limit) : slow_limit_(slow_limit) {}

  // Due at once, whatever pause it has; if a worker has it, once more after
  // that. Does not block.
  void Add(const ReconcileKey& key);
  // All that pause are due at once. Does not block.
  void AddAll();

  // The next key that is due; waits for it. Nothing: Close() was called. The
  // caller gives the key back with Done().
  std::optional<ReconcileKey> Next();
  // `again`: it is due after so long once more; none: it is forgotten, unless
  // it was added meanwhile. `took`: how long the caller had it. Of the keys
  // that took kLong or more last time one worker has one at a time: so a few
  // giant trees hold up no other orphan for more than their first try.
  void Done(const ReconcileKey& key, std::optional<absl::Duration> again,
            absl::Duration took = absl::ZeroDuration());
  static constexpr absl::Duration kLong = absl::Seconds(5);

  // Every Next() ends, now and from now on.
  void Close();

 private:
  struct Entry {
    int64_t due = 0;  // monotonic nanoseconds
    bool taken = false;
    bool once_more = false;
    bool is_long = false;
  };

  const int slow_limit_;
  base::Mutex mutex_;
  base::Condition changed_;
  std::map<ReconcileKey, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  int slow_taken_ ABSL_GUARDED_BY(mutex_) = 0;
  bool long_taken_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_RECONCILE_QUEUE_H_
