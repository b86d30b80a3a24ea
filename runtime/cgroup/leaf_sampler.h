#ifndef WARREN_RUNTIME_CGROUP_LEAF_SAMPLER_H_
#define WARREN_RUNTIME_CGROUP_LEAF_SAMPLER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/base/unique_fd.h"
#include "runtime/cgroup/driver.h"

namespace warren::runtime {

// What a leaf and all cgroups below it have used so far and use now. A figure
// that the machine does not have is nullopt, never 0: its controller is not
// mounted, or the kernel is too old to tell.
struct LeafSample {
  struct Memory {
    // v2 memory.current, v1 memory.usage_in_bytes; page cache included.
    uint64_t usage_bytes = 0;
    // The usage without file pages that have not been used for some time,
    // which go first when memory gets short (memory.stat: inactive_file, v1
    // total_inactive_file). What a kubelet evicts by, as cAdvisor counts it.
    // The two files are not read at one moment: 0 where the difference would
    // be negative.
    uint64_t working_set_bytes = 0;
  };
  // Sums over all devices. v2 io.stat; v1 blkio.throttle.io_service_bytes and
  // io_serviced, of the leaf alone where the kernel has no sums ("_recursive").
  struct Io {
    uint64_t read_bytes = 0;
    uint64_t written_bytes = 0;
    uint64_t reads = 0;
    uint64_t writes = 0;
  };

  int64_t monotonic_ns = 0;  // CLOCK_MONOTONIC, before the first is read
  // Of all processors together. v2 cpu.stat: usage_usec, v1 cpuacct.usage.
  std::optional<uint64_t> cpu_usage_us;
  std::optional<Memory> memory;
  // Processes the kernel killed in it for want of memory. v2 memory.events, v1
  // memory.oom_control (since Linux 4.13): oom_kill; v1 without those that were
  // in cgroups that the container made for itself.
  std::optional<uint64_t> oom_kills;
  std::optional<uint64_t> pids;  // processes and threads: pids.current
  std::optional<Io> io;
};

// The files that tell the figures of one leaf, opened once and kept open: a
// sample then is a pread(2) of each, without a look-up of a path. At most
// kMaxDescriptors for each leaf; whoever keeps many counts with them.
//
// A sample may take as long as the kernel needs to add the figures up of all
// processors (memory.stat, cpu.stat); it waits for nothing else. Thread-safe.
class LeafSampler {
 public:
  static constexpr int kMaxDescriptors = 7;

  // `directories` (borrowed): CgroupDriver::OpenDirectories(). Errors carry
  // errno; EMFILE among them.
  static absl::StatusOr<LeafSampler> Open(const LeafDirectories& directories);

  // All figures or an error: errno, or kInternal for a file that does not say
  // what it should. An error of one that IsGone() is final.
  absl::StatusOr<LeafSample> Sample() const;

  // Whether an error of CgroupDriver::OpenDirectories(), Open() or Sample()
  // means that the leaf was removed (ENOENT; ENODEV of a file that is still
  // open, fs/kernfs/file.c). No NOT_FOUND, which a kubelet takes for the end of
  // the pod.
  static bool IsGone(const absl::Status& status);

 private:
  LeafSampler() = default;
  absl::Status OpenV1(const LeafDirectories& directories);
  absl::Status OpenV2(int leaf);
  // `buffer`: of one sample, for the texts.
  absl::StatusOr<std::optional<uint64_t>> ReadCpu(std::string* buffer) const;
  absl::StatusOr<std::optional<LeafSample::Memory>> ReadMemory(
      std::string* buffer) const;
  absl::StatusOr<std::optional<LeafSample::Io>> ReadIo(
      std::string* buffer) const;

  bool v2_ = false;
  // Invalid where there is no such file.
  base::UniqueFd cpu_;
  base::UniqueFd memory_usage_;
  base::UniqueFd memory_stat_;
  base::UniqueFd oom_;
  base::UniqueFd pids_;
  base::UniqueFd io_;             // v1: bytes
  base::UniqueFd io_operations_;  // v1
};

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_CGROUP_LEAF_SAMPLER_H_
