#ifndef WARREN_AGENT_PODS_USERNS_POOL_H_
#define WARREN_AGENT_PODS_USERNS_POOL_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agent/options/id_span.h"
#include "runtime/runtime.h"

namespace warren::agent {

// Which pod has which ids of the node. Each pod's user namespace has 65536 ids
// of its own, so that a process that gets out of one pod has no rights in
// another. Ranges come from one span, in turn, so that a range that was just
// given back is granted again as late as possible.
//
// Besides what it grants, the pool knows what others took: ranges that a
// kubelet chose for its pods, and those of records after a restart. Pods of a
// range are counted, and it is free when the last has given it back. Several
// pods on one range are possible: a record that could not be written may name
// a range that was granted to another pod since.
//
// Nothing is kept here over a restart: grants are in the records of the pods.
// Thread-safe.
class UsernsPool {
 public:
  static constexpr uint32_t kRangeLength = kIdsOfAPod;

  explicit UsernsPool(IdSpan span);

  // A free range for the pod, kResourceExhausted when there is none. A pod
  // that has a grant gets the same again.
  absl::StatusOr<runtime::IdMapping> Grant(const std::string& sandbox_id);

  // Ids that a request chose itself. kFailedPrecondition, and nothing is
  // taken, when they overlap what was granted to another pod.
  absl::Status Claim(const std::string& sandbox_id,
                     const std::vector<runtime::IdMapping>& uids,
                     const std::vector<runtime::IdMapping>& gids);

  // What a record says the pod has, granted or chosen; never fails.
  void Restore(const std::string& sandbox_id, const runtime::SandboxSpec& spec,
               bool granted);

  // Gives back all that the pod has. Idempotent.
  void Release(const std::string& sandbox_id);

 private:
  struct Slot {
    int pods = 0;    // with any id of it
    int grants = 0;  // those of them that were granted it
  };
  struct Holding {
    std::vector<size_t> slots;  // sorted, each once
    bool granted = false;
    runtime::IdMapping mapping;  // granted
  };

  // Indexes of the slots that any of the ids is in.
  std::vector<size_t> Touched(
      const std::vector<runtime::IdMapping>& uids,
      const std::vector<runtime::IdMapping>& gids) const;
  void Hold(const std::string& sandbox_id, Holding holding)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReleaseLocked(const std::string& sandbox_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const IdSpan span_;
  mutable absl::Mutex mutex_;
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Holding> holdings_ ABSL_GUARDED_BY(mutex_);
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;  // where the search begins
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_USERNS_POOL_H_
