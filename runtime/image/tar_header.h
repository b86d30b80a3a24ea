#ifndef WARREN_RUNTIME_IMAGE_TAR_HEADER_H_
#define WARREN_RUNTIME_IMAGE_TAR_HEADER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/image/tar_entry.h"

// The 512-byte blocks of tar: pure decoding. Source of the layout: POSIX
// pax(1) "ustar Interchange Format" and the GNU tar manual, "Basic Tar Format"
// and "Extensions to the Archive Format". Errors are kInvalidArgument.
namespace warren::image {

inline constexpr size_t kTarBlock = 512;

struct TarHeader {
  char type = '0';
  std::string name;  // prefix joined for ustar
  std::string link_name;
  uint32_t mode = 0;
  uint64_t uid = 0;
  uint64_t gid = 0;
  uint64_t size = 0;
  int64_t mtime = 0;
  // GNU type 'S' only: the first chunks, whether a block with more follows,
  // and the size with holes.
  std::vector<SparseChunk> chunks;
  bool more_chunks = false;
  uint64_t real_size = 0;
};

bool IsZeroBlock(absl::string_view block);

// Verifies the checksum first. `block` has kTarBlock bytes.
absl::StatusOr<TarHeader> DecodeTarHeader(absl::string_view block);

// A block of further chunks after a header of type 'S'; appends to `chunks`
// and returns whether one more follows.
absl::StatusOr<bool> DecodeSparseBlock(absl::string_view block,
                                       std::vector<SparseChunk>* chunks);

// Octal with blanks or NULs around, or GNU's base-256 when the top bit of the
// first byte is set. An empty field is 0.
absl::StatusOr<int64_t> DecodeTarNumber(absl::string_view field);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_TAR_HEADER_H_
