#ifndef WARREN_RUNTIME_IMAGE_UNPACK_UNPACK_LAYER_H_
#define WARREN_RUNTIME_IMAGE_UNPACK_UNPACK_LAYER_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <string>

#include "runtime/image/compression.h"

namespace warren::image {

struct UnpackBudget {
  // Of the tar, of the files in it, and of the directory made from it, each.
  uint64_t bytes = 0;
  uint64_t entries = 0;
};

struct UnpackedLayer {
  std::string diff_id_hex;
  uint64_t stream_bytes = 0;
  uint64_t disk_bytes = 0;
  uint64_t inodes = 0;
  std::string leanings;  // Leanings::Encode
};

// Reads a layer blob from `blob` to its end, decompresses it, hashes the tar
// and writes what is in it below the empty directory `root`. How it is packed
// is what its first bytes say (SniffCompression); `label` is what the manifest
// says. Errors as by Decompressor, TarReader and LayerWriter. The work of
// warren-unpack, without its walls: call it elsewhere only in tests.
absl::StatusOr<UnpackedLayer> UnpackLayer(int blob, Compression label, int root,
                                          const UnpackBudget& budget);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_UNPACK_UNPACK_LAYER_H_
