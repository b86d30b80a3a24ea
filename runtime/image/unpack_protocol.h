#ifndef WARREN_RUNTIME_IMAGE_UNPACK_PROTOCOL_H_
#define WARREN_RUNTIME_IMAGE_UNPACK_PROTOCOL_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

// What the agent and warren-unpack agree on.
//
//   agent                                   warren-unpack
//     posix_spawn ---------------------------->  fd 0 blob, 1 result pipe,
//       argv: compression, max bytes,               2 leanings, 3 target
//       max entries                             confine, unpack
//                                               Leanings::Encode into fd 2
//     read <------- UnpackResult, once --------  exit 0
//     read the first leaning_bytes of fd 2
//
// fd 2 is a file in memory of kMaxLeaningBytes, sealed so that it neither grows
// nor shrinks.
//
// No record, or an exit that is not 0, means that it died. The reader trusts
// nothing in a record: whoever wrote the layer may own the process that sent
// it.
namespace warren::image {

inline constexpr int kUnpackBlobFd = 0;
inline constexpr int kUnpackResultFd = 1;
inline constexpr int kUnpackLeaningsFd = 2;
inline constexpr int kUnpackTargetFd = 3;

inline constexpr char kUnpackPlain[] = "plain";
inline constexpr char kUnpackGzip[] = "gzip";
inline constexpr char kUnpackZstd[] = "zstd";

inline constexpr uint32_t kUnpackMagic = 0x57524e32;  // "WRN2"

// One record, both ends on the same machine and of the same build: native
// layout, written and read whole (smaller than PIPE_BUF).
struct UnpackResult {
  uint32_t magic;
  int32_t code;            // absl::StatusCode; 0 = unpacked
  uint64_t stream_bytes;   // the tar, decompressed
  uint64_t disk_bytes;     // of files and directories, whole 4 KiB blocks
  uint64_t inodes;         // files and directories made
  uint64_t leaning_bytes;  // of the text in kUnpackLeaningsFd
  char diff_id[64];        // hex SHA-256 of the tar, no NUL
  char message[512];       // NUL-terminated, when code is not 0
};
static_assert(std::is_trivially_copyable_v<UnpackResult>);
static_assert(sizeof(UnpackResult) == 616);

// The overlayfs mark of a directory that hides what is below (option
// userxattr).
inline constexpr char kOpaqueXattr[] = "user.overlay.opaque";

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_UNPACK_PROTOCOL_H_
