#ifndef WARREN_AGENT_STORE_CHANGE_FEED_H_
#define WARREN_AGENT_STORE_CHANGE_FEED_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"

// What happened to pods and containers, one change after the other, for those
// who watch all of them: event streams, metrics.
namespace warren::agent {

struct PodSandboxState;
struct ContainerState;

// Snapshots of the store (store.h), shared with it and immutable.
template <typename State>
struct StateChange {
  // Null: the object can be found from now on. It was published, or read from
  // disk at the agent's start.
  std::shared_ptr<const State> before;
  // Null: the object can be found no more.
  std::shared_ptr<const State> after;
};

struct ObjectChange {
  enum class Kind { kPodSandbox, kContainer };  // in the order of What
  using What =
      std::variant<StateChange<PodSandboxState>, StateChange<ContainerState>>;

  Kind kind() const { return static_cast<Kind>(what.index()); }

  std::string id;
  uint64_t sequence = 0;  // 1, 2, 3, … since the agent's start
  int64_t monotonic_ns =
      0;  // CLOCK_MONOTONIC; never falls from one to the next
  What what;
};

// The changes in the order in which they were published, kept until all
// readers have seen them, at most `Limits`. Changes of one object come in the
// order in which it changed, each one's `before` being what the one before
// left. When a change can be read, the store shows it already, or something
// newer.
//
// Nobody waits for readers: what does not fit pushes the oldest out, and
// readers who had not come to that are told how many they lost. With no reader
// nothing is kept.
//
// Thread-safe. States are freed, and deadlines asked, without its lock.
class ChangeFeed {
 public:
  struct Limits {
    size_t entries = 4096;
    // Of `bytes` as Publish() is told them.
    size_t bytes = 16 << 20;
  };

  // Nothing is owned.
  ChangeFeed(const base::Clock* clock, const Limits& limits)
      : clock_(clock), limits_(limits) {}
  ~ChangeFeed() = default;  // after its readers
  ChangeFeed(const ChangeFeed&) = delete;
  ChangeFeed& operator=(const ChangeFeed&) = delete;

  // For the store. `bytes`: about what both states take. Never waits for a
  // reader.
  void Publish(const std::string& id, ObjectChange::What what, size_t bytes);

  // The sequence number of the newest change; 0 before the first.
  uint64_t last() const;

  struct Batch {
    // Changes before the first of these that came and went unread. Not 0: the
    // reader has to look at the whole store now, which shows all of them.
    uint64_t lost = 0;
    std::vector<ObjectChange> changes;
  };

  // One place in the feed. For one thread at a time; ends before the feed.
  class Reader {
   public:
    ~Reader() { feed_->Leave(this); }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    // The next changes, 1 to `max`; or none when all that followed were lost.
    // Waits for the first until `deadline`: kDeadlineExceeded or kCancelled
    // then, with nothing lost; one that is over already takes a look still.
    absl::StatusOr<Batch> Read(size_t max, const base::Deadline& deadline) {
      return feed_->Read(this, max, deadline);
    }

   private:
    friend class ChangeFeed;
    explicit Reader(ChangeFeed* feed) : feed_(feed) {}
    ChangeFeed* const feed_;
  };

  // A reader of all changes from now on. A reader that also wants what is
  // there lists the store afterwards; what the list shows already comes again.
  std::unique_ptr<Reader> Subscribe();

 private:
  struct Entry {
    ObjectChange change;
    size_t bytes;
  };

  absl::StatusOr<Batch> Read(const Reader* reader, size_t max,
                             const base::Deadline& deadline);
  void Leave(const Reader* reader);
  // False when there is nothing newer. What need not be kept any more goes to
  // `passed`, to be freed without the lock; so in the other two.
  bool Take(const Reader* reader, size_t max, Batch* batch,
            std::vector<Entry>* passed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropSeen(std::vector<Entry>* passed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropOldest(std::vector<Entry>* passed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t oldest() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return last_ + 1 - ring_.size();
  }

  const base::Clock* const clock_;
  const Limits limits_;
  mutable base::Mutex mutex_;
  base::Condition changed_;
  // Sequence numbers without a gap, up to last_.
  std::deque<Entry> ring_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  // The number that each reader has to read next.
  std::map<const Reader*, uint64_t> next_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_STORE_CHANGE_FEED_H_
