#ifndef WARREN_RUNTIME_IMAGE_TAR_ENTRY_H_
#define WARREN_RUNTIME_IMAGE_TAR_ENTRY_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

// One member of a tar archive with all its overrides applied, whichever
// dialect (v7, ustar, GNU, PAX) said it.
namespace warren::image {

struct SparseChunk {
  uint64_t offset = 0;
  uint64_t length = 0;
};

struct TarEntry {
  enum class Type {
    kFile,
    kHardLink,
    kSymlink,
    kDirectory,
    kFifo,
    kCharDevice,
    kBlockDevice,
  };
  Type type = Type::kFile;
  std::string path;   // as written; never empty, no NUL. See CleanPath
  std::string link;   // of hard links and symlinks: not empty, no NUL
  uint32_t mode = 0;  // 07777
  uint32_t uid = 0;   // never (uid_t)-1
  uint32_t gid = 0;
  int64_t mtime_seconds = 0;
  uint32_t mtime_nanoseconds = 0;
  uint64_t size = 0;  // of the file as seen by a reader, holes included
  // Extended attributes of any name space, name and value.
  std::vector<std::pair<std::string, std::string>> xattrs;
  // Parts with data of a sparse file, ascending, inside size.
  bool sparse = false;
  std::vector<SparseChunk> chunks;
};

// Receives a whole archive in order. An error ends the reading and is what
// the reader returns. Data arrives only for kFile entries.
class TarSink {
 public:
  virtual ~TarSink() = default;
  virtual absl::Status BeginEntry(const TarEntry& entry) = 0;
  virtual absl::Status Data(uint64_t offset, absl::string_view bytes) = 0;
  virtual absl::Status EndEntry() = 0;
};

// The components of a path inside an archive: "." parts and empty parts (a
// leading "./" or "/", doubled and trailing slashes) dropped; empty result =
// the root. An absolute path means the same below the root of the archive, as
// GNU tar, containerd and docker take it. kInvalidArgument for "..", NUL,
// components above kMaxNameBytes, more than kMaxPathDepth of them,
// kMaxPathBytes in all.
absl::StatusOr<std::vector<std::string>> CleanPath(absl::string_view path);

// For messages: escaped, at most about 100 characters (API-6).
std::string Printable(absl::string_view text);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_TAR_ENTRY_H_
