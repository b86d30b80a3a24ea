#ifndef WARREN_RUNTIME_IMAGE_UNPACKER_H_
#define WARREN_RUNTIME_IMAGE_UNPACKER_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/base/deadline.h"
#include "runtime/base/process.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/compression.h"
#include "runtime/image/digest.h"
#include "runtime/image/leanings.h"
#include "runtime/image/limits.h"

namespace warren::image {

// Size on disk of an unpacked layer.
struct LayerSize {
  uint64_t bytes = 0;
  uint64_t inodes = 0;
};

struct UnpackReport {
  Digest diff_id;  // of the tar that was read
  LayerSize size;
  Leanings leanings;
};

// One process of warren-unpack that gets its blob bit by bit. Dropped before
// its end it is killed and reaped. Single-threaded.
class Unpacking {
 public:
  ~Unpacking();
  Unpacking(const Unpacking&) = delete;
  Unpacking& operator=(const Unpacking&) = delete;

  // The next bytes of the blob; waits until the process has taken them, each
  // time as long as Unpack() at most. OK also
  // when it has ended: Finish() says why, once all of the blob is known to be
  // what it should be. kCancelled, kDeadlineExceeded: `deadline` is over.
  absl::Status Feed(absl::string_view bytes, const base::Deadline& deadline);

  // The end of the blob. Waits for the end of the process, at most until
  // `deadline` and as long as Unpack() does. Errors: those of Unpack().
  absl::StatusOr<UnpackReport> Finish(const base::Deadline& deadline);

 private:
  friend class Unpacker;
  Unpacking() = default;

  absl::Duration Patience() const {
    return absl::Seconds(static_cast<double>(seconds_));
  }

  uint64_t seconds_ = 0;  // limits.unpack_seconds
  base::Child child_;
  base::UniqueFd feed_;  // not open: the blob is a file
  base::UniqueFd result_;
  base::UniqueFd leanings_;
};

// The agent's side of warren-unpack: one process per layer, waited for and
// reaped, killed when it takes longer than limits.unpack_seconds.
// Thread-safe.
class Unpacker {
 public:
  // `program`: path of warren-unpack.
  Unpacker(std::string program, const Limits& limits)
      : program_(std::move(program)), limits_(limits) {}

  // Unpacks the blob (an open file, at its start) into the empty directory
  // `target`; both borrowed. `compression` is what the manifest says; the bytes
  // decide. `max_entries`: files and directories, beside the
  // limit of a layer and the free inodes of the file system. Whatever the
  // outcome, the process is gone when this returns; after an error the
  // directory is to be thrown away. kInvalidArgument: the layer is bad.
  // kResourceExhausted: it is too large for the limits or for the file system.
  // kInternal: the rest, a helper that was killed among them.
  // kDeadlineExceeded: time is up.
  absl::StatusOr<UnpackReport> Unpack(int blob, Compression compression,
                                      int target, uint64_t max_entries) const;

  // The same for a blob that is on its way.
  absl::StatusOr<std::unique_ptr<Unpacking>> Begin(Compression compression,
                                                   int target,
                                                   uint64_t max_entries) const;

 private:
  // A process that reads `blob`.
  absl::StatusOr<std::unique_ptr<Unpacking>> Spawn(int blob,
                                                   Compression compression,
                                                   int target,
                                                   uint64_t max_entries) const;

  const std::string program_;
  const Limits limits_;
};

// What may still be written to the file system of `fd`: what is free for root's
// daemons, times `percent`. A file system that counts no inodes (btrfs) has as
// many as one wants.
struct FreeSpace {
  uint64_t bytes = 0;
  uint64_t inodes = 0;
};
absl::StatusOr<FreeSpace> FreeSpaceOf(int fd, uint64_t percent);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_UNPACKER_H_
