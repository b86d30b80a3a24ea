#ifndef WARREN_NETPLUGIN_BRIDGE_LINK_REAPER_H_
#define WARREN_NETPLUGIN_BRIDGE_LINK_REAPER_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "netplugin/ipam/lease.h"
#include "netplugin/netlink/netlink.h"
#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"

namespace warren::netplugin {

// Deletes these links and waits until they are gone. Many cost about as much
// as one: they are moved to a group of their own and deleted by it, in one
// RCU grace period (20-36 ms, spent inside the kernel). Links that vanished
// meanwhile are fine. `links` are indexes. `deadline` is looked at before each
// batch of a few hundred; on kDeadlineExceeded and kCancelled those of later
// batches are still there.
absl::Status DeleteLinks(
    NetlinkSocket& socket, const std::vector<int>& links,
    const base::Deadline& deadline = base::Deadline::Never());

// Deletes the veths of detached pods, away from the callers of Detach. A pod's
// network namespace usually dies right after, and the kernel then deletes the
// link at no cost to us. So a link is given `grace` to go by itself. Then it is
// deleted, together with all others that wait. The lease is handed back once
// the link is gone, never before (NET-4).
//
// It has no thread: somebody calls Tend() (the agent's reconcile loop), in the
// network namespace of the node. Thread-safe.
class LinkReaper {
 public:
  using Gone = std::function<absl::Status(const Lease&)>;

  // `gone` is called for each parked link once it is gone, on the thread of
  // Tend or of Drain, without a lock held. After an error the link stays
  // parked, and `gone` is called again by the next round.
  LinkReaper(absl::Duration grace, Gone gone);
  // Deletes what is parked; waits ten seconds at most.
  ~LinkReaper();
  LinkReaper(const LinkReaper&) = delete;
  LinkReaper& operator=(const LinkReaper&) = delete;

  // Takes charge of the link `index`, named `name`. Again is a no-op. Does not
  // block.
  void Park(int index, const std::string& name, const Lease& lease);
  bool IsParked(const std::string& sandbox_id) const;

  // Releases what is gone and deletes what was parked for longer than the
  // grace. Waits for a sweep under way, then for the kernel. Returns how soon
  // to call it again; infinite: nothing is parked.
  absl::StatusOr<absl::Duration> Tend(const base::Deadline& deadline);

  // Deletes all that is parked now and returns when it is gone. Waits for a
  // sweep under way, then for the kernel. What is left on an error stays
  // parked.
  absl::Status Drain(const base::Deadline& deadline);

 private:
  struct Parked {
    int index;
    std::string name;
    Lease lease;
    int64_t since;  // monotonic ns
  };

  // Releases links that are gone and deletes those parked longer than `grace`.
  absl::Status Sweep(absl::Duration grace, const base::Deadline& deadline)
      ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status DeleteOld(absl::Duration grace, const base::Deadline& deadline,
                         const std::vector<Parked>& parked,
                         std::vector<Parked>* gone);

  const absl::Duration grace_;
  const Gone gone_;
  mutable base::Mutex mutex_;
  base::Condition changed_;  // sweeping_
  absl::flat_hash_map<std::string, Parked> parked_ ABSL_GUARDED_BY(mutex_);
  bool sweeping_ ABSL_GUARDED_BY(mutex_) = false;  // one sweep at a time
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_BRIDGE_LINK_REAPER_H_
