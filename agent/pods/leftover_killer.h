#ifndef WARREN_AGENT_PODS_LEFTOVER_KILLER_H_
#define WARREN_AGENT_PODS_LEFTOVER_KILLER_H_

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "agent/store/store.h"
#include "runtime/runtime.h"

namespace warren::agent {

// Kills what an ended container leaves running. With a pid namespace of its
// own the kernel does that; in the pod's or the node's the rest of its cgroup
// lives on. A thread of its own, because exits are reported on the runtime's,
// which must not wait for an object's turn. Thread-safe.
class LeftoverKiller {
 public:
  // Nothing is owned.
  LeftoverKiller(runtime::Runtime* runtime, const Store* store);
  ~LeftoverKiller();  // what is still queued is left to Remove

  void Add(ContainerPtr container);

 private:
  void Work();

  runtime::Runtime* const runtime_;
  const Store* const store_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ContainerPtr> queue_;  // guarded by mutex_
  bool stop_ = false;               // guarded by mutex_
  std::thread thread_;              // last: it uses the rest
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_LEFTOVER_KILLER_H_
