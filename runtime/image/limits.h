#ifndef WARREN_RUNTIME_IMAGE_LIMITS_H_
#define WARREN_RUNTIME_IMAGE_LIMITS_H_

#include <cstddef>
#include <cstdint>

// Every bound on what a stranger's image can make Warren read, hold in memory
// or write (IMG-3). Bytes unless said otherwise.
namespace warren::image {

// Documents.
inline constexpr size_t kMaxDocumentBytes = 4 << 20;  // manifest, config, index
inline constexpr int kMaxJsonDepth = 64;
inline constexpr size_t kMaxLayers = 128;
inline constexpr int kMaxIndexDepth = 4;  // an index in an index in …
inline constexpr size_t kMaxResolvedDocuments = 256;  // read to find one image
inline constexpr size_t kMaxLayoutFileBytes = 4096;   // oci-layout

// The archive that carries an image.
inline constexpr uint64_t kMaxArchiveEntries = 4096;

// Tar, outer and inner.
inline constexpr size_t kMaxPathBytes = 4096;            // PATH_MAX
inline constexpr size_t kMaxNameBytes = 255;             // NAME_MAX
inline constexpr int kMaxPathDepth = 256;                // components
inline constexpr size_t kMaxPaxBytes = 1 << 20;          // one extended header
inline constexpr size_t kMaxXattrValueBytes = 64 << 10;  // XATTR_SIZE_MAX
inline constexpr size_t kMaxXattrs = 64;                 // on one entry
inline constexpr size_t kMaxSparseChunks = 4096;         // of one sparse file

// What a layer leans on (leanings.h).
inline constexpr size_t kMaxLeanings = 64 << 10;
inline constexpr size_t kMaxLeaningBytes = 4 << 20;
inline constexpr size_t kMaxStackLeaningBytes = 16 << 20;  // of one image
inline constexpr size_t kMaxRemarks = 16;  // in the answer to an import

// Links inside a layer, on the way to one member (as Linux, MAXSYMLINKS), and
// the components that may be walked for it.
inline constexpr int kMaxLinks = 40;
inline constexpr int kMaxWalkSteps = 1024;

// Compression.
inline constexpr int kMaxZstdWindowLog = 25;  // 32 MiB
// Output may be this many times the input once it is above the floor.
inline constexpr uint64_t kMaxExpansionRatio = 1000;
inline constexpr uint64_t kExpansionRatioFloor = 16 << 20;

// The unpacker's own rlimits.
inline constexpr uint64_t kUnpackDataBytes = 64 << 20;
inline constexpr uint64_t kUnpackAddressSpaceBytes = 256 << 20;
inline constexpr uint64_t kUnpackFiles = 16;
inline constexpr uint64_t kUnpackCpuSeconds = 1800;

// What an operator (or a test) may set.
struct Limits {
  uint64_t archive_bytes = 64ull << 30;  // one import, as it arrives
  uint64_t layer_bytes = 64ull << 30;    // one layer, unpacked
  uint64_t layer_entries = 1'000'000;    // files and directories of one layer
  uint64_t image_entries = 2'000'000;    // … of all layers of one image
  uint64_t unpack_seconds = 3600;        // wall time of one layer
  // Of the free space and the free inodes of the file system, the share that
  // one import or one layer may take, in percent.
  uint64_t free_space_percent = 90;
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_LIMITS_H_
