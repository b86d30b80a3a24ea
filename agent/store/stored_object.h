#ifndef WARREN_AGENT_STORE_STORED_OBJECT_H_
#define WARREN_AGENT_STORE_STORED_OBJECT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "agent/caller/call_context.h"
#include "agent/store/operation_lock.h"
#include "agent/store/timings.h"

namespace warren::agent {

// One object of the store: an immutable snapshot that readers share, changed
// only by transactions that write the record through to disk.
//
//   operation lock   held across I/O by the life-cycle call that owns the
//                    object now; says nothing about reading
//   write mutex      one transaction at a time, held while the file is written
//   state mutex      held to swap or copy a pointer: readers never wait long
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
    // Nothing that the record has changes; nothing is written.
    kNotInRecord,
  };
  using Persist = std::function<absl::Status(const State&)>;

  StoredObject(std::string id, State state, Persist persist)
      : id_(std::move(id)),
        persist_(std::move(persist)),
        state_(std::make_shared<const State>(std::move(state))) {}
  StoredObject(const StoredObject&) = delete;
  StoredObject& operator=(const StoredObject&) = delete;

  const std::string& id() const { return id_; }
  Timings* timings() const { return &timings_; }

  // Never null; does not change any more.
  std::shared_ptr<const State> Get() const {
    const std::lock_guard<std::mutex> lock(state_mutex_);
    return state_;
  }

  // Waits for the turn of a life-cycle operation.
  absl::StatusOr<OperationLock::Guard> Lock(const CallContext& call) {
    return operation_.Acquire(call.deadline);
  }
  OperationLock::Guard TryLock() { return operation_.TryAcquire(); }

  // The object has left the store: later transactions touch no file.
  bool gone() const {
    const std::lock_guard<std::mutex> lock(state_mutex_);
    return gone_;
  }

  // One transaction: `change` gets a copy; its error cancels everything.
  absl::Status Update(Write write,
                      const std::function<absl::Status(State*)>& change) {
    const std::lock_guard<std::mutex> writing(write_mutex_);
    State next = *Get();
    if (absl::Status status = change(&next); !status.ok()) return status;
    const absl::Status written = write == Write::kNotInRecord || gone()
                                     ? absl::OkStatus()
                                     : persist_(next);
    if (!written.ok() && write == Write::kRecordedOrNothing) return written;
    auto published = std::make_shared<const State>(std::move(next));
    {
      const std::lock_guard<std::mutex> lock(state_mutex_);
      state_ = std::move(published);
    }
    Wake();
    return written;
  }

  // For the store: runs `erase` with no transaction under way, then marks the
  // object as gone if that went well.
  absl::Status Leave(const std::function<absl::Status()>& erase) {
    const std::lock_guard<std::mutex> writing(write_mutex_);
    if (absl::Status status = erase(); !status.ok()) return status;
    {
      const std::lock_guard<std::mutex> lock(state_mutex_);
      gone_ = true;
    }
    Wake();
    return absl::OkStatus();
  }

  // Change counter and a wait for the next change, at most `slice`. Callers
  // loop: read the version, look at the state, then wait for that version to
  // pass. Wake() counts as a change of something beside the state.
  uint64_t version() const {
    const std::lock_guard<std::mutex> lock(state_mutex_);
    return version_;
  }
  void WaitForChange(uint64_t seen, std::chrono::milliseconds slice) const {
    std::unique_lock<std::mutex> lock(state_mutex_);
    changed_.wait_for(lock, slice, [&] { return version_ != seen; });
  }
  void Wake() {
    {
      const std::lock_guard<std::mutex> lock(state_mutex_);
      ++version_;
    }
    changed_.notify_all();
  }

 private:
  const std::string id_;
  const Persist persist_;
  mutable Timings timings_;
  OperationLock operation_;
  std::mutex write_mutex_;  // before state_mutex_
  mutable std::mutex state_mutex_;
  mutable std::condition_variable changed_;
  std::shared_ptr<const State> state_;  // guarded by state_mutex_
  uint64_t version_ = 0;                // guarded by state_mutex_
  bool gone_ = false;                   // guarded by state_mutex_
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_STORE_STORED_OBJECT_H_
