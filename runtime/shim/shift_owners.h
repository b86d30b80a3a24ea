#ifndef WARREN_RUNTIME_SHIM_SHIFT_OWNERS_H_
#define WARREN_RUNTIME_SHIM_SHIFT_OWNERS_H_

#include <cstddef>
#include <cstdint>

#include "runtime/shim/failure.h"
#include "warren/shim/v1/shim.pb.h"

namespace warren::shim {

using IdMappings = google::protobuf::RepeatedPtrField<v1::IdMapping>;

// The host's id for `id` of the image, `id` itself when no mapping has it.
uint32_t ShiftId(const IdMappings& mappings, uint32_t id);

// Where a root file system cannot be idmapped: gives every file below
// `rootfs_fd` the owner that the mappings show as its present one. Set-id bits
// and file capabilities, which a change of owner clears, are put back. A file
// with several names is changed once (so a mapping whose two sides overlap is
// refused: EINVAL). Nothing to do without mappings. Does not cross mounts,
// follows no link; the tree must be in nobody else's hands. ELOOP for a tree
// that is deeper than kMaxShiftDepth directories: each level of the way down
// costs a descriptor and 32 KiB until it is done.
Failure ShiftOwners(int rootfs_fd, const IdMappings& uids,
                    const IdMappings& gids);

inline constexpr size_t kMaxShiftDepth = 1024;

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_SHIFT_OWNERS_H_
