#ifndef WARREN_NETPLUGIN_BRIDGE_LINK_REAPER_H_
#define WARREN_NETPLUGIN_BRIDGE_LINK_REAPER_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <absl/time/time.h>

#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "netplugin/netlink/netlink.h"
#include "netplugin/pod_network.h"
#include "runtime/base/mutex.h"

namespace warren::netplugin {

// Deletes these links and waits until they are gone. Many cost about as much
// as one: they are moved to a group of their own and deleted by it, in one
// RCU grace period (20-36 ms, spent inside the kernel). Links that vanished
// meanwhile are fine.
absl::Status DeleteLinks(NetlinkSocket& socket, const std::vector<int>& links);

// Sees torn-down veths off, away from the callers of Teardown. A pod's network
// namespace usually dies right after, and the kernel then deletes the link at
// no cost to us; so a link is given `grace` to go by itself before it is
// deleted, with all that wait then in one go. Only once a link is gone is its
// lease handed back (NET-4).
//
// One thread, started by the first Park, in the network namespace of its
// caller; it sleeps while nothing is parked. Thread-safe.
class LinkReaper {
 public:
  using Gone = std::function<void(const Lease&)>;

  // `gone` is called once per parked link, on the thread of the reaper or of
  // Drain, without a lock held.
  LinkReaper(absl::Duration grace, Gone gone);
  // Deletes what is parked.
  ~LinkReaper();
  LinkReaper(const LinkReaper&) = delete;
  LinkReaper& operator=(const LinkReaper&) = delete;

  // Takes charge of the link `index`, named `name`. Again is a no-op.
  void Park(int index, const std::string& name, const Lease& lease);
  bool IsParked(const std::string& sandbox_id) const;

  // Deletes all that is parked now and returns when it is gone.
  absl::Status Drain();

 private:
  struct Parked {
    int index;
    std::string name;
    Lease lease;
    int64_t since;  // monotonic ns
  };

  void Run();
  // Returns a moment after something was parked, or at once with false when
  // the end has come.
  bool AwaitWork() ABSL_LOCKS_EXCLUDED(mutex_);
  // Releases links that are gone and deletes those parked longer than `grace`.
  absl::Status Sweep(absl::Duration grace) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status DeleteOld(NetlinkSocket& socket, absl::Duration grace,
                         const std::vector<Parked>& parked,
                         std::vector<Parked>* gone);

  const absl::Duration grace_;
  const Gone gone_;
  base::Mutex sweep_mutex_;  // one sweep at a time; before mutex_
  mutable base::Mutex mutex_;
  base::Condition changed_;  // stop_ or parked_
  absl::flat_hash_map<std::string, Parked> parked_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_BRIDGE_LINK_REAPER_H_
