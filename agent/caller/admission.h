#ifndef WARREN_AGENT_CALLER_ADMISSION_H_
#define WARREN_AGENT_CALLER_ADMISSION_H_

#include <absl/status/statusor.h>

#include <array>
#include <atomic>
#include <utility>

#include "agent/caller/access.h"

// How many calls the daemon takes on at once. It is decided for each class
// alone: however many calls of one class wait, a call of another is admitted.
namespace warren::agent {

// The most calls of each class, in the order of CallClass.
struct AdmissionLimits {
  std::array<int, kCallClasses> of;

  constexpr int Of(CallClass call_class) const {
    return of[static_cast<int>(call_class)];
  }
};

// What the daemon works with. Calls of the first two classes have a thread of
// gRPC each (transport/server.h). The others are queued and wait without one
// (api/call_pool.h), so their limits bound memory: room for a node that is
// drained with 1000 pods of four containers, and for a probe in each of 1000
// containers at the same moment.
inline constexpr AdmissionLimits kAdmissionLimits = {{
    400,   // kRead
    64,    // kStream
    1024,  // kChange
    4096,  // kEnd
    1024,  // kExec
}};

// Counts the calls at work. Thread-safe; never blocks.
class Admission {
 public:
  // The place of one call; given back when destroyed. Move-only; must not
  // outlive the Admission.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept
        : count_(std::exchange(other.count_, nullptr)) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(count_, other.count_);
      return *this;
    }
    ~Place() {
      if (count_ != nullptr) --*count_;
    }

   private:
    friend class Admission;
    explicit Place(std::atomic<int>* count) : count_(count) {}
    std::atomic<int>* count_ = nullptr;
  };

  explicit Admission(const AdmissionLimits& limits) : limits_(limits) {}
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  // kResourceExhausted, with the class and its limit, when so many calls of the
  // class are at work already.
  absl::StatusOr<Place> Admit(CallClass call_class);

  // Calls of that class at work now.
  int at_work(CallClass call_class) const {
    return counts_[static_cast<int>(call_class)];
  }

 private:
  const AdmissionLimits limits_;
  std::array<std::atomic<int>, kCallClasses> counts_ = {};
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_CALLER_ADMISSION_H_
