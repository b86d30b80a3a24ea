#ifndef WARREN_RUNTIME_IMAGE_TAR_PAX_H_
#define WARREN_RUNTIME_IMAGE_TAR_PAX_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/image/tar_entry.h"

// PAX extended headers: records "LENGTH KEY=VALUE\n" that override fields of
// the next entry (POSIX pax(1), "pax Extended Header"; sparse files: GNU tar
// manual, "Storing Sparse Files"). Pure. Errors are kInvalidArgument.
namespace warren::image {

struct PaxTime {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
};

struct PaxRecords {
  std::optional<std::string> path;
  std::optional<std::string> link_path;
  std::optional<uint64_t> size;
  std::optional<uint64_t> uid;
  std::optional<uint64_t> gid;
  std::optional<PaxTime> mtime;
  std::vector<std::pair<std::string, std::string>> xattrs;
  // GNU.sparse.*, the versions 0.0, 0.1 (map in the header) and 1.0 (map in
  // front of the data).
  std::optional<std::string> sparse_name;
  std::optional<uint64_t> sparse_real_size;
  bool sparse_map_in_data = false;
  bool sparse_map_in_header = false;
  std::vector<SparseChunk> sparse_map;
};

// Keys without a field in PaxRecords are skipped. Each of the others may come
// once. A path is not empty and holds no NUL.
absl::StatusOr<PaxRecords> ParsePax(absl::string_view data);

// A decimal number without sign or blanks.
absl::StatusOr<uint64_t> ParseDecimal(absl::string_view text);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_TAR_PAX_H_
