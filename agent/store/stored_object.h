#ifndef WARREN_AGENT_STORE_STORED_OBJECT_H_
#define WARREN_AGENT_STORE_STORED_OBJECT_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "agent/caller/call_context.h"
#include "agent/store/operation_lock.h"
#include "agent/store/timings.h"
#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"

namespace warren::agent {

// One object of the store: an immutable snapshot that readers share, changed
// only by transactions that write the record through to disk.
//
//   operation lock   held across I/O by the life-cycle call that owns the
//                    object now; says nothing about reading
//   write mutex      one transaction at a time, held while the file is written
//                    and the change is told
//   state mutex      held to swap or copy a pointer: readers never wait long
//
// This is the one place where an object changes, so the one place that tells
// of it: each change of an object that can be found is told once, in order,
// after readers can see it.
//
// Thread-safe.
template <typename State>
class StoredObject {
 public:
  // What a failing write of the record means to a transaction.
  enum class Write {
    // On an error nothing changes, and the error is returned.
    kRecordedOrNothing,
    // The change is a fact already (an exit, a stop): it is published whatever
    // the disk says; the error is returned so that the caller can tell.
    kFactEvenUnrecorded,
    // The change concerns nothing in the record: no file is written.
    kNotInRecord,
  };
  using Persist = std::function<absl::Status(const State&)>;
  using StatePtr = std::shared_ptr<const State>;
  // Told of a change, with the write mutex held: must not wait and must not
  // come back to the object. `before` is null for one that can be found from
  // now on, `after` for one that no longer can.
  using Tell = std::function<void(StatePtr before, StatePtr after)>;

  StoredObject(std::string id, State state, Persist persist, Tell tell)
      : id_(std::move(id)),
        persist_(std::move(persist)),
        tell_(std::move(tell)),
        state_(std::make_shared<const State>(std::move(state))) {}
  StoredObject(const StoredObject&) = delete;
  StoredObject& operator=(const StoredObject&) = delete;

  const std::string& id() const { return id_; }
  Timings* timings() const { return &timings_; }

  // Never null; does not change any more.
  StatePtr Get() const {
    const base::MutexLock lock(&state_mutex_);
    return state_;
  }

  // Waits for the turn of a life-cycle operation.
  absl::StatusOr<OperationLock::Guard> Lock(const CallContext& call) {
    return operation_.Acquire(call.deadline);
  }
  OperationLock::Guard TryLock() { return operation_.TryAcquire(); }
  // For who has TryLock()ed it: a call wants the object now.
  bool wanted() const { return operation_.wanted(); }
  // Keeps TryLock() away while a call waits without the lock. The object must
  // outlive it.
  OperationLock::Visit Visit() { return OperationLock::Visit(&operation_); }

  // The object has left the store: later transactions touch no file.
  bool gone() const {
    const base::MutexLock lock(&state_mutex_);
    return gone_;
  }

  // One transaction: `change` gets a copy; its error cancels everything.
  absl::Status Update(Write write,
                      const std::function<absl::Status(State*)>& change) {
    const base::MutexLock writing(&write_mutex_);
    const StatePtr before = Get();
    State next = *before;
    if (absl::Status status = change(&next); !status.ok()) return status;
    const absl::Status written = write == Write::kNotInRecord || gone()
                                     ? absl::OkStatus()
                                     : persist_(next);
    if (!written.ok() && write == Write::kRecordedOrNothing) return written;
    const StatePtr after = std::make_shared<const State>(std::move(next));
    {
      const base::MutexLock lock(&state_mutex_);
      state_ = after;
    }
    Wake();
    if (listed_) tell_(before, after);
    return written;
  }

  // For the store: runs `list`, after which the object can be found, with no
  // transaction under way. Its changes are told from now on.
  void Enter(const std::function<void()>& list) {
    const base::MutexLock writing(&write_mutex_);
    list();
    listed_ = true;
    tell_(nullptr, Get());
  }

  // For the store: runs `erase`, after which the object can be found no more,
  // with no transaction under way, then marks it as gone if that went well.
  absl::Status Leave(const std::function<absl::Status()>& erase) {
    const base::MutexLock writing(&write_mutex_);
    if (absl::Status status = erase(); !status.ok()) return status;
    {
      const base::MutexLock lock(&state_mutex_);
      gone_ = true;
    }
    Wake();
    if (std::exchange(listed_, false)) tell_(Get(), nullptr);
    return absl::OkStatus();
  }

  // Change counter and a wait for the next change. Callers loop: read the
  // version, look at the state, then wait for that version to pass. Wake()
  // counts as a change of something beside the state. The wait ends at once
  // with a change, when the time of `deadline` is over, and when its stop is
  // requested; a function that cancels it is asked every kCancelLook.
  uint64_t version() const {
    const base::MutexLock lock(&state_mutex_);
    return version_;
  }
  static constexpr absl::Duration kCancelLook = absl::Milliseconds(250);
  void WaitForChange(uint64_t seen, const base::Deadline& deadline) const {
    // What tells of a cancellation is asked without the lock.
    while (deadline.Check().ok()) {
      const bool polled = deadline.Slice() < deadline.Remaining();
      const base::Deadline look =
          base::Deadline::At(deadline.monotonic_ns())
              .Within(polled ? kCancelLook : absl::InfiniteDuration())
              .CancelledBy(deadline.stop());
      const base::MutexLock lock(&state_mutex_);
      while (version_ == seen && look.Check().ok()) {
        changed_.Wait(&state_mutex_, look);
      }
      if (version_ != seen) return;
    }
  }
  void Wake() {
    {
      const base::MutexLock lock(&state_mutex_);
      ++version_;
      for (const auto& [id, wake] : std::exchange(watches_, {})) wake();
    }
    changed_.NotifyAll();
  }

  // The same wait without a thread: `wake` runs once, when the version is not
  // `seen` any more, on the thread that made the change or on this one. It runs
  // with the state mutex held: it must not wait, nor come back to the object.
  // Unwatch takes it back by the number that Watch returned; afterwards `wake`
  // has run or never will.
  uint64_t Watch(uint64_t seen, std::function<void()> wake) const {
    const base::MutexLock lock(&state_mutex_);
    if (version_ != seen) {
      wake();
      return 0;  // nobody's
    }
    watches_.emplace(++last_watch_, std::move(wake));
    return last_watch_;
  }
  void Unwatch(uint64_t watch) const {
    const base::MutexLock lock(&state_mutex_);
    watches_.erase(watch);
  }

 private:
  const std::string id_;
  const Persist persist_;
  const Tell tell_;
  mutable Timings timings_;
  OperationLock operation_;
  base::Mutex write_mutex_ ABSL_ACQUIRED_BEFORE(state_mutex_);
  bool listed_ ABSL_GUARDED_BY(write_mutex_) = false;
  mutable base::Mutex state_mutex_;
  mutable base::Condition changed_;
  StatePtr state_ ABSL_GUARDED_BY(state_mutex_);
  uint64_t version_ ABSL_GUARDED_BY(state_mutex_) = 0;
  mutable std::map<uint64_t, std::function<void()>> watches_
      ABSL_GUARDED_BY(state_mutex_);
  mutable uint64_t last_watch_ ABSL_GUARDED_BY(state_mutex_) = 0;
  bool gone_ ABSL_GUARDED_BY(state_mutex_) = false;
};

// For Pause::watch: the next change of `object`, which must outlive the pause.
template <typename State>
std::function<std::function<void()>(std::function<void()>)> ChangesOf(
    const StoredObject<State>& object, uint64_t seen) {
  return [&object, seen](std::function<void()> wake) {
    const uint64_t watch = object.Watch(seen, std::move(wake));
    return [&object, watch] { object.Unwatch(watch); };
  };
}

}  // namespace warren::agent

#endif  // WARREN_AGENT_STORE_STORED_OBJECT_H_
