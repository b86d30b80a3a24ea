#include "agent/store/record_file.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <utility>

#include "agent/cri/ids.h"
#include "runtime/base/file.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

constexpr absl::string_view kMagic = "WARRENRC";
constexpr size_t kChecksumAt = 8;
constexpr size_t kVersionAt = 12;
constexpr size_t kSizeAt = 16;
constexpr size_t kHeader = 24;
constexpr char kFile[] = "record.pb";
// Named like the temporary files of builds that knew no spare, which swept
// them away with the record.
constexpr char kSpare[] = ".record.pb.spare";
// A request has at most 16 MiB (API-5) and is kept once.
constexpr size_t kMaxRecord = 32 << 20;

void PutLittleEndian(uint64_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) {
    out->push_back(static_cast<char>(value >> (8 * i)));
  }
}

uint64_t GetLittleEndian(absl::string_view data, size_t at, int bytes) {
  uint64_t value = 0;
  for (int i = bytes - 1; i >= 0; --i) {
    value = value << 8 | static_cast<uint8_t>(data[at + i]);
  }
  return value;
}

uint32_t Checksum(absl::string_view data) {
  return crc32_z(0, reinterpret_cast<const Bytef*>(data.data()), data.size());
}

// The spare of a directory as a plain file of one name, whatever was there: a
// second name would be a copy that somebody keeps. An error when that cannot be
// looked at.
absl::StatusOr<base::UniqueFd> OpenSpare(int directory, size_t* old_size) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK;
  auto spare = base::OpenAt(directory, kSpare, kFlags, 0600);
  struct stat st;
  if (!spare.ok() && base::GetErrno(spare.status()) != EISDIR &&
      !base::IsDamage(spare.status())) {
    return spare;
  }
  if (spare.ok() && fstat(spare->get(), &st) != 0) {
    return base::ErrnoError(errno, "look at the spare");
  }
  if (spare.ok() && S_ISREG(st.st_mode) && st.st_nlink == 1) {
    *old_size = static_cast<size_t>(st.st_size);
    return spare;
  }
  RETURN_IF_ERROR(base::RemoveTree(directory, kSpare));
  *old_size = 0;
  return base::OpenAt(directory, kSpare, kFlags | O_EXCL, 0600);
}

absl::Status FillSpare(int directory, absl::string_view content) {
  size_t old_size = 0;
  ASSIGN_OR_RETURN(const base::UniqueFd spare, OpenSpare(directory, &old_size));
  RETURN_IF_ERROR(base::WriteFd(spare.get(), content));
  if (old_size > content.size() &&
      ftruncate(spare.get(), static_cast<off_t>(content.size())) != 0) {
    return base::ErrnoError(errno, "truncate");
  }
  return absl::OkStatus();
}

// What Read says of a look at a record that gave no content. ENOTDIR: a file
// in place of the record's directory.
absl::Status ReadError(const absl::Status& status) {
  return base::IsDamage(status) || base::GetErrno(status) == ENOTDIR
             ? absl::DataLossError(status.message())
             : absl::UnavailableError(status.message());
}

// From here on the spare is the record.
absl::Status SwapSpare(int directory) {
  if (renameat2(directory, kSpare, directory, kFile, RENAME_EXCHANGE) == 0) {
    return absl::OkStatus();
  }
  // The first write has nothing to exchange with; EINVAL: not every file
  // system can (NFS).
  if ((errno != ENOENT && errno != EINVAL) ||
      renameat(directory, kSpare, directory, kFile) != 0) {
    return base::ErrnoError(errno, "rename");
  }
  return absl::OkStatus();
}

}  // namespace

std::string FrameRecord(absl::string_view payload) {
  std::string covered;
  covered.reserve(kHeader + payload.size());
  PutLittleEndian(kRecordVersion, 4, &covered);
  PutLittleEndian(payload.size(), 8, &covered);
  covered.append(payload.data(), payload.size());
  std::string file(kMagic);
  PutLittleEndian(Checksum(covered), 4, &file);
  return file + covered;
}

absl::StatusOr<std::string> UnframeRecord(absl::string_view file) {
  if (file.size() < kHeader || file.substr(0, kMagic.size()) != kMagic) {
    return absl::DataLossError("no record header");
  }
  if (GetLittleEndian(file, kChecksumAt, 4) !=
      Checksum(file.substr(kVersionAt))) {
    return absl::DataLossError("the checksum does not match");
  }
  const uint64_t version = GetLittleEndian(file, kVersionAt, 4);
  if (version < 1 || version > kRecordVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "record version ", version, ", this build reads ", kRecordVersion));
  }
  if (GetLittleEndian(file, kSizeAt, 8) != file.size() - kHeader) {
    return absl::DataLossError("the length does not match");
  }
  return std::string(file.substr(kHeader));
}

RecordDirectory::RecordDirectory(base::UniqueFd dir, std::string name,
                                 std::string quarantine)
    : dir_(std::move(dir)),
      name_(std::move(name)),
      quarantine_(std::move(quarantine)) {}

absl::StatusOr<RecordDirectory> RecordDirectory::Open(
    const std::string& directory, const std::string& quarantine) {
  ASSIGN_OR_RETURN_IN(base::UniqueFd dir,
                      base::MakeDirs(AT_FDCWD, directory, 0700), directory);
  // The runtime keeps the containers' file systems in them.
  base::SpreadDirectories(dir.get());
  return RecordDirectory(
      std::move(dir), directory.substr(directory.rfind('/') + 1), quarantine);
}

absl::StatusOr<std::vector<std::string>> RecordDirectory::Ids() const {
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   base::ListDir(dir_.get(), "."));
  std::vector<std::string> ids;
  for (const std::string& name : names) {
    if (IsId(name)) ids.push_back(name);
  }
  return ids;
}

absl::Status RecordDirectory::Write(const std::string& id,
                                    absl::string_view payload) const {
  auto directory = base::OpenBeneath(dir_.get(), id, O_PATH | O_DIRECTORY);
  if (!directory.ok() && base::GetErrno(directory.status()) == ENOENT) {
    if (mkdirat(dir_.get(), id.c_str(), 0700) != 0 && errno != EEXIST) {
      return base::ErrnoError(errno, absl::StrCat("make ", name_, "/", id));
    }
    directory = base::OpenBeneath(dir_.get(), id, O_PATH | O_DIRECTORY);
  }
  if (!directory.ok())
    return base::Annotate(directory.status(), "record directory");
  absl::Status status = FillSpare(directory->get(), FrameRecord(payload));
  if (status.ok()) status = SwapSpare(directory->get());
  return base::Annotate(status, absl::StrCat("record ", name_, "/", id));
}

absl::StatusOr<std::string> RecordDirectory::Read(const std::string& id) const {
  auto file =
      base::OpenBeneath(dir_.get(), id + "/" + kFile, O_RDONLY | O_NONBLOCK);
  if (!file.ok() && base::GetErrno(file.status()) == ENOENT) {
    return absl::NotFoundError(absl::StrCat("no record ", name_, "/", id));
  }
  if (!file.ok()) return ReadError(file.status());
  auto content = base::ReadRegularFd(file->get(), kMaxRecord);
  if (!content.ok()) return ReadError(content.status());
  auto payload = UnframeRecord(*content);
  return payload.ok()
             ? payload
             : base::Annotate(payload.status(), absl::StrCat(name_, "/", id));
}

std::string RecordDirectory::FileOf(const std::string& id) const {
  return absl::StrCat(name_, "/", id, "/", kFile);
}

absl::Status RecordDirectory::Delete(const std::string& id) const {
  const std::string path = absl::StrCat(id, "/", kFile);
  if (unlinkat(dir_.get(), path.c_str(), 0) != 0 && errno != ENOENT) {
    return base::ErrnoError(errno, absl::StrCat("delete ", name_, "/", path));
  }
  unlinkat(dir_.get(), absl::StrCat(id, "/", kSpare).c_str(), 0);
  if (unlinkat(dir_.get(), id.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT ||
      errno == ENOTDIR) {
    return absl::OkStatus();
  }
  if (errno != ENOTEMPTY) {
    return base::ErrnoError(errno, absl::StrCat("rmdir ", name_, "/", id));
  }
  // What is left of the directory is a temporary file of an earlier build's
  // write that a crash cut short, or the runtime's; the latter stays.
  ASSIGN_OR_RETURN(const base::UniqueFd directory,
                   base::OpenBeneath(dir_.get(), id, O_RDONLY | O_DIRECTORY));
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   base::ListDir(directory.get(), "."));
  const std::string temporary = absl::StrCat(".", kFile, ".");
  for (const std::string& name : names) {
    if (name.rfind(temporary, 0) == 0) {
      RETURN_IF_ERROR(base::RemoveTree(directory.get(), name));
    }
  }
  unlinkat(dir_.get(), id.c_str(), AT_REMOVEDIR);
  return absl::OkStatus();
}

absl::StatusOr<std::string> RecordDirectory::Quarantine(
    const std::string& id) const {
  ASSIGN_OR_RETURN(const base::UniqueFd to,
                   base::MakeDirs(AT_FDCWD, quarantine_, 0700));
  std::string path = absl::StrCat(id, "/", kFile);
  for (int n = 0;; ++n) {
    const std::string name = absl::StrCat(name_, "-", id, ".", n);
    if (renameat2(dir_.get(), path.c_str(), to.get(), name.c_str(),
                  RENAME_NOREPLACE) == 0) {
      return name;
    }
    if (errno == ENOTDIR && path != id) {
      path = id;  // not even a directory
    } else if (errno != EEXIST) {
      return base::ErrnoError(errno, absl::StrCat("quarantine ", path));
    }
  }
}

}  // namespace warren::agent
