#ifndef WARREN_AGENT_HOST_MEMORY_H_
#define WARREN_AGENT_HOST_MEMORY_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <pthread.h>

#include <cstdint>
#include <memory>
#include <optional>

// The memory of the daemon after a burst. Left to itself, glibc keeps most of
// it: it has up to eight arenas for each processor, each of which keeps what
// was freed below its highest living block, and once a block of 12 MiB was
// freed it takes blocks of that size from the arenas as well (mallopt(3),
// "dynamic mmap threshold").
//
// RssAnon of a daemon that did nothing before, 2 processors, glibc 2.36:
//
//                                        before  burst  10 s later
//   30 refused requests of 12 MiB
//     left to glibc                        4       184     184 MiB
//     as it is here                        4       117       9 MiB
//   32 ExecSync at once, 15 MB of output each
//     left to glibc                        4       105     103 MiB
//     as it is here                        4         7       7 MiB
//
// `e2e_node_test --gtest_filter=MemoryTest.*` prints them.
namespace warren::agent {

// Settles how glibc gets memory. Changes process-wide state: call it once,
// before any thread exists. Where glibc refuses, nothing changes.
void BoundMemory();

// Arenas of all threads together. Few, because each keeps remains of its own;
// more than one, so that threads which allocate at the same moment seldom wait
// for each other.
inline constexpr int kArenas = 4;
// A block as large comes from the kernel and goes back to it when it is freed:
// messages of bursts do. The reply of a list on a full node (1000 containers,
// 0.6 MiB) is below it, so that lists fault no pages in anew.
inline constexpr int kOwnMappingBytes = 1024 * 1024;
// What the top of an arena keeps for the next block.
inline constexpr int kTopBytes = 512 * 1024;

// How much memory the process has, and how much of it somebody uses.
struct MemoryUse {
  int64_t resident = 0;   // bytes; /proc/self/statm, without what files back
  int64_t allocated = 0;  // bytes; mallinfo2(3)
  // Neither: freed and kept, stacks, data of the program.
  int64_t Idle() const { return resident - allocated; }
};

// Says when idle memory is worth a malloc_trim(3): when there is kWorthBytes
// more than the last one left. What cannot be given back (remains of pages,
// stacks) is not tried again and again. Thread-compatible.
class TrimRule {
 public:
  static constexpr int64_t kWorthBytes = 4 * 1024 * 1024;

  bool Worth(const MemoryUse& now);
  void Trimmed(const MemoryUse& now) { left_ = now.Idle(); }

 private:
  int64_t left_ = 0;  // the lowest since the last trim
};

// Gives freed memory back to the kernel after calls, on a thread of its own:
// looks every kPeriod after the end of a call, until kQuietLooks in a row came
// without another call and with nothing to give. Without calls it sleeps. A
// look takes 0.4 ms; a trim of 100 MiB takes 0.1 s, in which a thread that
// allocates from the arena in question waits. Thread-safe.
class MemoryReturn {
 public:
  static constexpr absl::Duration kPeriod = absl::Seconds(3);
  // A reply that a slow client still reads is freed after its call has ended.
  static constexpr int kQuietLooks = 3;

  // One for the process, as the heap is. An error when there is no thread to be
  // had.
  static absl::StatusOr<std::unique_ptr<MemoryReturn>> Start();
  ~MemoryReturn();
  MemoryReturn(const MemoryReturn&) = delete;
  MemoryReturn& operator=(const MemoryReturn&) = delete;

  // A call has ended, so that memory of it may be free. With or without an
  // object; takes a lock once in each kPeriod at most.
  static void CallEnded();

 private:
  MemoryReturn() = default;
  static void* Main(void* unused);

  std::optional<pthread_t> thread_;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_HOST_MEMORY_H_
