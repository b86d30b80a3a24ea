#ifndef WARREN_TESTS_BENCH_WORKLOAD_H_
#define WARREN_TESTS_BENCH_WORKLOAD_H_

#include <absl/status/status.h>

#include <memory>
#include <string>

#include "tests/bench/samples.h"
#include "tests/bench/server_cost.h"
#include "tests/support/cri_client.h"

namespace warren::bench {

// The users' program of every pod, recognisable in a process list.
inline constexpr char kSleepSeconds[] = "1000017";

struct WorkloadOptions {
  std::string image;          // must be there already
  std::string cgroup_parent;  // of the pods; empty = the endpoint's own choice
  std::string log_root;       // directory for the containers' logs
  int pods = 10;              // in one round
  int parallel = 1;           // calls under way at once
};

// What a round measured.
struct Round {
  Operations operations;
  double base_pss_kib = 0;     // with no pod
  double per_pod_pss_kib = 0;  // growth with `pods` idle pods, each
};

// One CRI endpoint under one workload. Thread-compatible.
class Workload {
 public:
  // Connects; kUnavailable when nobody answers Version.
  static absl::StatusOr<std::unique_ptr<Workload>> Connect(
      const std::string& name, const std::string& socket,
      const std::string& cgroup);

  // `pods` pods of one container, phase by phase: RunPodSandbox for all, then
  // Create+Start for all, ExecSync in all, memory, Stop+Remove of all. The
  // first error ends the round; what was made is removed.
  absl::StatusOr<Round> RunRound(const WorkloadOptions& options);

  const std::string& name() const { return name_; }
  std::string Describe() const;

 private:
  Workload(std::string name, const std::string& socket, ServerCost cost)
      : name_(std::move(name)), client_(socket), cost_(std::move(cost)) {}

  std::string name_;
  std::string version_;
  test::CriClient client_;
  ServerCost cost_;
  int serial_ = 0;  // of pods, for unique names
};

}  // namespace warren::bench

#endif  // WARREN_TESTS_BENCH_WORKLOAD_H_
