#ifndef WARREN_AGENT_PODS_LEFTOVER_KILLER_H_
#define WARREN_AGENT_PODS_LEFTOVER_KILLER_H_

#include <absl/base/thread_annotations.h>

#include <cstddef>
#include <deque>
#include <thread>

#include "agent/store/store.h"
#include "runtime/base/mutex.h"
#include "runtime/runtime.h"

namespace warren::agent {

// Kills what an ended container leaves running. When the container has a pid
// namespace of its own, the kernel does that; in the pod's or the node's pid
// namespace the rest of its cgroup lives on. It has a thread of its own: exits
// are reported on the runtime's thread, which must not wait for an object's
// operation lock. Failures go to the store's problem sink. Thread-safe.
class LeftoverKiller {
 public:
  // Both are borrowed and must outlive it.
  LeftoverKiller(runtime::Runtime* runtime, const Store* store);
  // Ends the thread after the kill under way. Containers that are still queued
  // are left as they are: RemoveContainer kills, too.
  ~LeftoverKiller();

  // Queues the container and returns at once. One whose lock is held by another
  // call is tried again every 10 ms and holds up no other.
  void Add(ContainerPtr container);

 private:
  void Work();
  // The next container to try; null once the end has come. Waits until there
  // is one. After `passed_over` containers in a row whose lock was held, it
  // pauses first.
  ContainerPtr Next(size_t* passed_over) ABSL_LOCKS_EXCLUDED(mutex_);

  runtime::Runtime* const runtime_;
  const Store* const store_;
  base::Mutex mutex_;
  base::Condition changed_;
  std::deque<ContainerPtr> queue_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_LEFTOVER_KILLER_H_
