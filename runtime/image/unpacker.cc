#include "runtime/image/unpacker.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>
#include <absl/time/time.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/process.h"
#include "runtime/base/status.h"
#include "runtime/image/tar_entry.h"
#include "runtime/image/unpack_protocol.h"

namespace warren::image {
namespace {

const char* CompressionName(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return kUnpackGzip;
    case Compression::kZstd:
      return kUnpackZstd;
    case Compression::kNone:
      break;
  }
  return kUnpackPlain;
}

absl::Status DiedError(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const int signal = WTERMSIG(wait_status);
    if (signal == SIGXCPU) {
      return absl::ResourceExhaustedError("layer takes too long to unpack");
    }
    return absl::InternalError(
        absl::StrCat("unpacking was ended by signal ", signal));
  }
  return absl::InternalError(
      absl::StrCat("unpacking ended with status ", WEXITSTATUS(wait_status)));
}

// A file in memory of one size for ever: whoever owns the helper can fill it,
// and no more.
absl::StatusOr<base::UniqueFd> LeaningsFile() {
  base::UniqueFd file(
      memfd_create("leanings", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid()) return base::ErrnoError(errno, "memfd_create");
  if (ftruncate(file.get(), static_cast<off_t>(kMaxLeaningBytes)) != 0 ||
      fcntl(file.get(), F_ADD_SEALS,
            F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
    return base::ErrnoError(errno, "size a file in memory");
  }
  return file;
}

absl::StatusOr<Leanings> ReadLeanings(int file, uint64_t bytes) {
  if (bytes > kMaxLeaningBytes) {
    return absl::InternalError("unpacking gave a result that is too long");
  }
  std::string text(bytes, '\0');
  for (size_t at = 0; at < text.size();) {
    const ssize_t n =
        pread(file, text.data() + at, text.size() - at, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return base::ErrnoError(n < 0 ? errno : EIO, "read leanings");
    at += static_cast<size_t>(n);
  }
  return Leanings::Decode(text);
}

// Nothing in the record is believed before it was looked at: it comes from
// the process that read a stranger's bytes.
absl::StatusOr<UnpackReport> Read(absl::string_view bytes, int leanings_file) {
  UnpackResult record;
  if (bytes.size() != sizeof(record)) {
    return absl::InternalError("unpacking ended without a result");
  }
  memcpy(&record, bytes.data(), sizeof(record));
  if (record.magic != kUnpackMagic) {
    return absl::InternalError("unpacking gave a result of another version");
  }
  if (record.code != 0) {
    const size_t length = strnlen(record.message, sizeof(record.message));
    std::string message(record.message, length);
    for (char& c : message) {
      if (c < ' ' || c > '~') c = '?';
    }
    const auto code = static_cast<absl::StatusCode>(record.code);
    const bool known = code == absl::StatusCode::kInvalidArgument ||
                       code == absl::StatusCode::kResourceExhausted;
    return absl::Status(known ? code : absl::StatusCode::kInternal, message);
  }
  ASSIGN_OR_RETURN(Digest diff_id,
                   Digest::FromHex(absl::string_view(record.diff_id,
                                                     sizeof(record.diff_id))));
  ASSIGN_OR_RETURN(Leanings leanings,
                   ReadLeanings(leanings_file, record.leaning_bytes));
  return UnpackReport{std::move(diff_id),
                      {record.disk_bytes, record.inodes},
                      std::move(leanings)};
}

}  // namespace

absl::StatusOr<FreeSpace> FreeSpaceOf(int fd, uint64_t percent) {
  struct statvfs fs;
  if (fstatvfs(fd, &fs) != 0) return base::ErrnoError(errno, "statvfs");
  const uint64_t available = uint64_t{fs.f_bavail} * fs.f_frsize;
  FreeSpace free = {available / 100 * percent, UINT64_MAX};
  if (fs.f_files != 0) free.inodes = uint64_t{fs.f_favail} * percent / 100;
  return free;
}

Unpacking::~Unpacking() {
  if (!child_.pidfd.valid()) return;
  base::SendSignal(child_.pidfd.get(), SIGKILL).IgnoreError();
  // lint: allow absence: nobody is left to be told
  base::Reap(child_.pidfd.get()).status().IgnoreError();
}

absl::Status Unpacking::Feed(absl::string_view bytes,
                             const base::Deadline& deadline) {
  while (!bytes.empty() && feed_.valid()) {
    const ssize_t n = write(feed_.get(), bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EPIPE) {
      feed_.reset();  // it has ended
    } else if (errno == EAGAIN) {
      const absl::Status waited =
          base::AwaitFd(feed_.get(), POLLOUT, deadline.Within(Patience()));
      RETURN_IF_ERROR(deadline.Check());
      RETURN_IF_ERROR(waited);
    } else if (errno != EINTR) {
      return base::ErrnoError(errno, "hand on a layer");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<UnpackReport> Unpacking::Finish(const base::Deadline& deadline) {
  feed_.reset();
  const absl::Status exited =
      base::AwaitFd(child_.pidfd.get(), POLLIN, deadline.Within(Patience()));
  // Also when the wait itself failed, no child stays.
  if (!exited.ok()) {
    RETURN_IF_ERROR(base::SendSignal(child_.pidfd.get(), SIGKILL));
  }
  const base::UniqueFd pidfd = std::move(child_.pidfd);
  ASSIGN_OR_RETURN(const int wait_status, base::Reap(pidfd.get()));
  RETURN_IF_ERROR(deadline.Check());
  if (absl::IsDeadlineExceeded(exited)) {
    return absl::DeadlineExceededError(
        absl::StrCat("layer is not unpacked after ", seconds_, " seconds"));
  }
  RETURN_IF_ERROR(exited);
  if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) != 0) {
    return DiedError(wait_status);
  }
  ASSIGN_OR_RETURN(const std::string bytes,
                   // lint: allow read: a pipe of ours, whose writer has ended
                   base::ReadFd(result_.get(), sizeof(UnpackResult)));
  return Read(bytes, leanings_.get());
}

absl::StatusOr<std::unique_ptr<Unpacking>> Unpacker::Spawn(
    int blob, Compression compression, int target, uint64_t max_entries) const {
  ASSIGN_OR_RETURN(const FreeSpace free,
                   FreeSpaceOf(target, limits_.free_space_percent));
  const uint64_t entries =
      std::min({free.inodes, limits_.layer_entries, max_entries});
  std::unique_ptr<Unpacking> unpacking(new Unpacking);
  unpacking->seconds_ = limits_.unpack_seconds;
  ASSIGN_OR_RETURN(base::Pipe result, base::MakePipe());
  ASSIGN_OR_RETURN(unpacking->leanings_, LeaningsFile());
  base::SpawnOptions options;
  options.path = program_;
  options.args = {"warren-unpack", CompressionName(compression),
                  absl::StrCat(std::min(free.bytes, limits_.layer_bytes)),
                  absl::StrCat(entries)};
  options.fds = {blob, result.write.get(), unpacking->leanings_.get(), target};
  ASSIGN_OR_RETURN(unpacking->child_, base::Spawn(options));
  unpacking->result_ = std::move(result.read);
  return unpacking;
}

absl::StatusOr<UnpackReport> Unpacker::Unpack(int blob, Compression compression,
                                              int target,
                                              uint64_t max_entries) const {
  ASSIGN_OR_RETURN(const auto unpacking,
                   Spawn(blob, compression, target, max_entries));
  return unpacking->Finish(base::Deadline::Never());
}

absl::StatusOr<std::unique_ptr<Unpacking>> Unpacker::Begin(
    Compression compression, int target, uint64_t max_entries) const {
  ASSIGN_OR_RETURN(base::Pipe blob, base::MakePipe());
  ASSIGN_OR_RETURN(std::unique_ptr<Unpacking> unpacking,
                   Spawn(blob.read.get(), compression, target, max_entries));
  const int flags = fcntl(blob.write.get(), F_GETFL);
  if (flags < 0 || fcntl(blob.write.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return base::ErrnoError(errno, "make a pipe for a layer");
  }
  // Fewer turns of both sides; what the limit of a user refuses is no loss.
  constexpr int kPipeBytes = 1 << 20;
  fcntl(blob.write.get(), F_SETPIPE_SZ, kPipeBytes);
  unpacking->feed_ = std::move(blob.write);
  return unpacking;
}

}  // namespace warren::image
