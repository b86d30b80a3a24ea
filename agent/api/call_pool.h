#ifndef WARREN_AGENT_API_CALL_POOL_H_
#define WARREN_AGENT_API_CALL_POOL_H_

#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <stop_token>
#include <utility>

#include "agent/api/parking.h"
#include "agent/caller/access.h"
#include "agent/caller/steps.h"
#include "runtime/base/workers.h"

namespace warren::agent {

// Where calls run that gRPC gives no thread: those that change, end or run
// something. Each class has threads of its own, which take the calls in the
// order in which they came; a call that waits for a grace or a program has none
// meanwhile. So a class that is stuck stops no other. Thread-safe.
class CallPool {
 public:
  // Threads of a class at most; one of each is always there. Calls beyond wait
  // in the queue. A removal that waits for a death holds its thread: more of
  // them than of the others may be stuck (a device that does not answer).
  static constexpr int kChangeThreads = 64;
  static constexpr int kEndThreads = 128;
  static constexpr int kExecThreads = 64;

  static absl::StatusOr<std::unique_ptr<CallPool>> Start();
  // Runs what is queued. Nothing is parked any more: the server, which waits
  // for its calls, has ended before.
  ~CallPool() = default;

  void Run(CallClass call_class, std::function<void()> task) {
    Of(call_class)->Run(std::move(task));
  }
  // As Parking::Park.
  void Park(CallClass call_class, Pause pause, std::stop_token stop,
            std::function<void()> resume) {
    parking_->Park(std::move(pause), std::move(stop), Of(call_class),
                   std::move(resume));
  }

 private:
  CallPool() = default;
  base::Workers* Of(CallClass call_class) {
    return call_class == CallClass::kEnd    ? end_.get()
           : call_class == CallClass::kExec ? exec_.get()
                                            : change_.get();
  }

  std::unique_ptr<Parking> parking_;
  // Destroyed first: their tasks park.
  std::unique_ptr<base::Workers> change_;
  std::unique_ptr<base::Workers> end_;
  std::unique_ptr<base::Workers> exec_;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_API_CALL_POOL_H_
