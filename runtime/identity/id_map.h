#ifndef WARREN_RUNTIME_IDENTITY_ID_MAP_H_
#define WARREN_RUNTIME_IDENTITY_ID_MAP_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/views.h"

// User and group ids inside and outside of a user namespace
// (user_namespaces(7)). ValidateIdMappings(), which the seam has (views.h), is
// defined here, too. Pure.
namespace warren::runtime {

// The host's number of an id inside; nullopt when it has none. Without
// mappings every id is itself.
std::optional<uint32_t> ToHostId(const std::vector<IdMapping>& mappings,
                                 uint32_t container_id);

// The lines of /proc/<pid>/uid_map or gid_map, in their order. kInternal when a
// line is not three numbers.
absl::StatusOr<std::vector<IdMapping>> ParseIdMap(absl::string_view text);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_IDENTITY_ID_MAP_H_
