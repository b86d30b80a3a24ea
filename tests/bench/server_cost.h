#ifndef WARREN_TESTS_BENCH_SERVER_COST_H_
#define WARREN_TESTS_BENCH_SERVER_COST_H_

#include <absl/status/statusor.h>
#include <sys/types.h>

#include <string>
#include <vector>

namespace warren::bench {

// CPU time and memory of everything that serves a CRI endpoint: the process
// that listens on the socket, its shims, the programs it runs, and what it
// keeps alive inside pods.
//
// With a cgroup (a path such as "/bench/containerd", in which the daemon was
// started and below which its pods are) nothing can hide: CPU time is the
// cgroup's own account, so programs that ran and ended in between count too.
// Without one, the daemon's process tree and every process whose command line
// names one of its shims is looked at; programs that came and went are then
// only seen as far as they were waited for. Thread-compatible.
class ServerCost {
 public:
  static absl::StatusOr<ServerCost> Of(const std::string& socket,
                                       const std::string& cgroup);

  // CPU seconds used so far. The workload itself is part of it where a cgroup
  // is used; it is the same program on every endpoint.
  double CpuSeconds() const;

  // Proportional set size of all serving processes, without those whose
  // command line contains `workload`: the users' programs.
  double PssKib(const std::string& workload) const;

  // One line for a person: "pid 123 (containerd) in cgroup /bench".
  std::string Describe() const;

 private:
  std::vector<pid_t> Pids() const;

  pid_t daemon_ = 0;
  std::string command_;
  std::string cgroup_;  // empty: by process tree
};

}  // namespace warren::bench

#endif  // WARREN_TESTS_BENCH_SERVER_COST_H_
