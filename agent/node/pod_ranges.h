#ifndef WARREN_AGENT_NODE_POD_RANGES_H_
#define WARREN_AGENT_NODE_POD_RANGES_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <string>
#include <vector>

#include "agent/store/operation_lock.h"
#include "netplugin/pod_network.h"
#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"

namespace warren::agent {

// Where pods get their addresses from, and the file that tells the next start:
// <state_dir>/pod_ranges, one line as CRI has it. File, network and answer
// agree: a change is one step that is done or leaves everything as it was, and
// only one is made at a time. Thread-safe.
class PodRanges {
 public:
  // `configured` are in force unless the file has others. The network is
  // borrowed.
  PodRanges(std::string state_dir, std::vector<netplugin::IpPrefix> configured,
            netplugin::PodNetwork* network);

  // The ranges of the file, {} without one; an error names the file. Reads
  // only.
  absl::StatusOr<std::vector<netplugin::IpPrefix>> Read() const;
  // Sets up the network with `saved`, or as it is configured when that is
  // empty. For the start.
  absl::Status Start(const std::vector<netplugin::IpPrefix>& saved);

  // UpdateRuntimeConfig: network first, then file. The new file is written
  // beforehand beside the old one, and takes its place by a rename, so that a
  // full disk is noticed while nothing has changed.
  //
  // kInvalidArgument and kFailedPrecondition as PodNetwork::SetPodRanges. Waits
  // for its turn until `deadline`; what has begun is brought to its end, which
  // takes kPatience at most beside what the kernel takes.
  absl::Status Update(const std::string& pod_cidr,
                      const base::Deadline& deadline);
  static constexpr absl::Duration kPatience = absl::Seconds(30);

  // What the network was last set to.
  std::vector<netplugin::IpPrefix> InForce() const;

 private:
  // Ranges and all that pods share; puts back what was before on an error.
  absl::Status Apply(const std::vector<netplugin::IpPrefix>& ranges);
  absl::Status Set(const std::vector<netplugin::IpPrefix>& ranges);
  absl::Status PutBack(const std::vector<netplugin::IpPrefix>& before,
                       const absl::Status& why);

  const std::string state_dir_;
  netplugin::PodNetwork* const network_;
  OperationLock turn_;
  mutable base::Mutex mutex_;
  std::vector<netplugin::IpPrefix> in_force_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_NODE_POD_RANGES_H_
