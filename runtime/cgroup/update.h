#ifndef WARREN_RUNTIME_CGROUP_UPDATE_H_
#define WARREN_RUNTIME_CGROUP_UPDATE_H_

#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/cgroup/driver.h"

// Limits of a leaf changed as a whole or not at all, for both drivers.
// Thread-compatible: calls on one leaf are serialised by the caller.
namespace warren::runtime {

// ---- Pure: what to write --------------------------------------------------

// What must be written so that a leaf with the values `from` has the values
// `to`: those that differ, in the order of `to`, then the kernel's default
// for each file that only `from` has. Of the cpusets on v1 the default is what
// the parent has; their value is "" then. kFailedPrecondition names a file of
// `unified` whose default is not known.
absl::StatusOr<std::vector<ControlValue>> ChangedValues(
    const std::vector<ControlValue>& from, const std::vector<ControlValue>& to);

// Whether the kernel's default of a file is known: the limits that programs
// look up for themselves are among these.
bool HasDefault(absl::string_view file);

// Puts pairs of v1 files in an order in which the kernel takes both:
//  - memory must never be above memory plus swap, so whichever limit would
//    pass the other waits (mm/memcontrol-v1.c: EINVAL);
//  - quota and period together are a share of time that must not pass the
//    parent's (tg_cfs_schedulable: EINVAL). No state in between has a larger
//    share than the larger one of before and after.
// `memsw` and `period_us`: what the leaf has now, in bytes and microseconds.
void OrderV1(int64_t memsw, int64_t period_us,
             std::vector<ControlValue>* values);

// Bytes in one of the spellings that the kernel's memory files take (memparse()
// of lib/cmdline.c): decimal, octal, 0x, and one of kKmMgGtTpPeE behind it.
// nullopt for "max" and whatever else is no number of bytes.
std::optional<int64_t> MemoryBytes(absl::string_view text);

// ---- Applied --------------------------------------------------------------

struct ControlWrite {
  int directory = -1;  // the leaf, or its directory in one hierarchy; borrowed
  ControlValue value;
};

using ControlWriter = absl::FunctionRef<absl::Status(
    int directory, const std::string& file, absl::string_view value)>;

// Writes one limit. A missing file is an error unless `best_effort`. Errors
// begin with the field: kInvalidArgument for a value that the kernel refuses,
// kFailedPrecondition for a file that the host does not have and for a limit
// that is below what is in use (EBUSY).
absl::Status WriteValue(const ControlWrite& write, ControlWriter writer);

// All of them in order. When one fails, those before it get back the values
// they had, in reverse order; the error says so if that is not possible. An
// empty cpuset of v2 that the kernel does not empty again, because processes
// are in it, gets the parent's list, which is what it stood for.
// The first form writes with base::WriteControlAt.
absl::Status WriteAllOrNone(const std::vector<ControlWrite>& writes);
absl::Status WriteAllOrNone(const std::vector<ControlWrite>& writes,
                            ControlWriter writer);

// v2 kills where memory.max falls below what is in use. So that an update
// never kills, the kernel is asked to take pages back first (memory.reclaim,
// Linux 5.19); kFailedPrecondition when more than `limit` bytes remain.
absl::Status MakeRoomV2(int directory, int64_t limit);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_CGROUP_UPDATE_H_
