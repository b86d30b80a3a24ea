#ifndef WARREN_TESTS_FAULTS_FAULT_ORDERS_H_
#define WARREN_TESTS_FAULTS_FAULT_ORDERS_H_

#include <atomic>
#include <cstdint>

// What the walk and the faulty programs share: one file, mapped by all of
// them. A point is a call site: the program, the call, and the address that
// the call returns to, counted from the start of the program.
namespace warren::faults {

inline constexpr int kStall = -1;  // in place of an error number
inline constexpr uint64_t kShim = uint64_t{1} << 63;
inline constexpr unsigned kSlots = 4096;

// `call` is the index in calls.txt.
constexpr uint64_t Key(bool shim, uint64_t call, uint64_t offset) {
  return (shim ? kShim : 0) | (call + 1) << 48 | offset;
}

struct Slot {
  std::atomic<uint64_t> key;  // 0 = free
  std::atomic<uint32_t> count;
};

// All zero in a new file: nothing armed.
struct Orders {
  // Calls count while this is not 0.
  std::atomic<uint32_t> armed;
  // Goes up at each arming. A shim that began at `immune` or before is left
  // alone: it belongs to a pod that must not notice.
  std::atomic<uint32_t> generation;
  std::atomic<uint32_t> immune;
  // The order: the n-th call (from 1) of point `key` fails with `error`.
  std::atomic<uint64_t> key;  // 0 = count only
  std::atomic<uint32_t> nth;
  std::atomic<int32_t> error;
  std::atomic<uint32_t> fired;
  std::atomic<uint32_t> release;  // a stalled call goes on
  Slot slots[kSlots];
};

}  // namespace warren::faults

#endif  // WARREN_TESTS_FAULTS_FAULT_ORDERS_H_
