#include "runtime/image/unpack/layer_writer.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/strip.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/image/limits.h"
#include "runtime/image/unpack/inode.h"

namespace warren::image {
namespace {

constexpr absl::string_view kWhiteoutPrefix = ".wh.";
constexpr absl::string_view kOpaqueName = ".wh..wh..opq";
constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
constexpr mode_t kDefaultDirectoryMode = 0755;
constexpr uint64_t kBlock = 4096;  // what a directory takes, at least

absl::Status BadEntry(const TarEntry& entry, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", Printable(entry.path), "\" ", why));
}

// The names that stand for whiteouts are no names of files.
absl::Status CheckDirectories(const std::vector<std::string>& parts,
                              const TarEntry& entry) {
  for (const std::string& part : parts) {
    if (absl::StartsWith(part, kWhiteoutPrefix)) {
      return BadEntry(entry, "is below a whiteout");
    }
  }
  return absl::OkStatus();
}

// A directory that the archive does not list.
absl::Status DefaultDirectory(int fd) {
  const timespec epoch[2] = {};
  // The owner too: a set-group-id parent hands its group down.
  if (fchown(fd, 0, 0) != 0 || fchmod(fd, kDefaultDirectoryMode) != 0 ||
      futimens(fd, epoch) != 0) {
    return base::ErrnoError(errno, "set up a directory");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status LayerWriter::Begin() { return DefaultDirectory(root_); }

absl::Status LayerWriter::CountInode(uint64_t size) {
  if (++inodes_ > budget_.inodes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "layer has more than ", budget_.inodes, " files and directories"));
  }
  if (size > budget_.bytes - bytes_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("layer unpacks to more than ", budget_.bytes, " bytes"));
  }
  bytes_ += size;
  disk_bytes_ += (size + kBlock - 1) / kBlock * kBlock;
  return absl::OkStatus();
}

absl::Status LayerWriter::BeginEntry(const TarEntry& entry) {
  file_.reset();
  ASSIGN_OR_RETURN(std::vector<std::string> parts, CleanPath(entry.path));
  if (parts.empty()) {
    if (entry.type != TarEntry::Type::kDirectory) {
      return BadEntry(entry, "makes the root something else than a directory");
    }
    return ApplyMetadata(root_, entry);
  }
  const std::string name = std::move(parts.back());
  parts.pop_back();
  RETURN_IF_ERROR(CheckDirectories(parts, entry));
  RETURN_IF_ERROR(OpenParent(parts));
  const KeepTime keep(parent_.get());
  absl::string_view marked = name;
  if (absl::ConsumePrefix(&marked, kWhiteoutPrefix)) {
    return Whiteout(entry, marked);
  }
  return Place(entry, name);
}

absl::Status LayerWriter::OpenParent(const std::vector<std::string>& parts) {
  std::string path = absl::StrJoin(parts, "/");
  if (path == parent_path_) return absl::OkStatus();
  parent_path_ = "/";
  auto opened =
      base::OpenBeneath(root_, path.empty() ? "." : path, kDirectoryFlags);
  if (opened.ok()) {
    parent_ = *std::move(opened);
  } else {
    // Missing, or a whiteout where the directory shall be.
    const int err = base::GetErrno(opened.status());
    if (err != ENOENT && err != ENOTDIR) {
      return FileError(err, "open the directory", path);
    }
    RETURN_IF_ERROR(MakeParents(parts));
  }
  parent_path_ = std::move(path);
  return absl::OkStatus();
}

absl::Status LayerWriter::MakeParents(const std::vector<std::string>& parts) {
  ASSIGN_OR_RETURN(parent_, base::OpenBeneath(root_, ".", kDirectoryFlags));
  for (const std::string& name : parts) {
    ASSIGN_OR_RETURN(parent_, MakeParent(name));
  }
  return absl::OkStatus();
}

absl::StatusOr<base::UniqueFd> LayerWriter::MakeParent(
    const std::string& name) {
  const KeepTime keep(parent_.get());
  ASSIGN_OR_RETURN(const bool whiteout, Clear(name, /*only_whiteout=*/true));
  const bool made =
      mkdirat(parent_.get(), name.c_str(), kDefaultDirectoryMode) == 0;
  if (!made && errno != EEXIST) {
    return FileError(errno, "make the directory", name);
  }
  auto directory = base::OpenBeneath(parent_.get(), name, kDirectoryFlags);
  if (!directory.ok()) {
    return FileError(base::GetErrno(directory.status()), "open the directory",
                     name);
  }
  if (made) {
    RETURN_IF_ERROR(CountInode(kBlock));
    RETURN_IF_ERROR(DefaultDirectory(directory->get()));
  }
  if (whiteout) RETURN_IF_ERROR(MarkOpaque(directory->get()));
  return directory;
}

absl::Status LayerWriter::Remove(const std::string& name) {
  if (unlinkat(parent_.get(), name.c_str(), 0) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  if (errno != EISDIR) return FileError(errno, "replace", name);
  if (unlinkat(parent_.get(), name.c_str(), AT_REMOVEDIR) == 0) {
    return absl::OkStatus();
  }
  if (errno == ENOTEMPTY) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", Printable(name), "\" replaces a directory that has content"));
  }
  return FileError(errno, "replace", name);
}

// Makes way for a new directory `name`. True when a whiteout was there: the
// directory must be opaque then, so that it hides the same. A directory that is
// there stays; with `only_whiteout` so does everything else, and the caller
// fails on it.
absl::StatusOr<bool> LayerWriter::Clear(const std::string& name,
                                        bool only_whiteout) {
  struct stat st;
  if (fstatat(parent_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return false;
    return FileError(errno, "look at", name);
  }
  const bool whiteout = IsWhiteout(st);
  if (S_ISDIR(st.st_mode) || (only_whiteout && !whiteout)) return false;
  RETURN_IF_ERROR(Remove(name));
  return whiteout;
}

absl::Status LayerWriter::Whiteout(const TarEntry& entry,
                                   absl::string_view marked) {
  if (entry.type != TarEntry::Type::kFile) {
    return BadEntry(entry, "is a whiteout that is no file");
  }
  if (absl::StrCat(kWhiteoutPrefix, marked) == kOpaqueName) {
    return MarkOpaque(parent_.get());
  }
  if (marked.empty() || marked == "." || marked == ".." ||
      absl::StartsWith(marked, kWhiteoutPrefix)) {
    return BadEntry(entry, "is not a valid whiteout");
  }
  const std::string name(marked);
  struct stat st;
  if (fstatat(parent_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
    // This layer has its own: only what is below it goes.
    if (!S_ISDIR(st.st_mode)) return absl::OkStatus();
    auto directory = base::OpenBeneath(parent_.get(), name, kDirectoryFlags);
    if (!directory.ok()) {
      return FileError(base::GetErrno(directory.status()), "open", name);
    }
    return MarkOpaque(directory->get());
  }
  if (errno != ENOENT) return FileError(errno, "look at", entry.path);
  RETURN_IF_ERROR(CountInode(0));
  // Device 0:0 needs no CAP_MKNOD (mknod(2), Linux 5.8).
  if (mknodat(parent_.get(), name.c_str(), S_IFCHR, 0) != 0) {
    return FileError(errno, "make the whiteout", entry.path);
  }
  return absl::OkStatus();
}

absl::Status LayerWriter::Place(const TarEntry& entry,
                                const std::string& name) {
  switch (entry.type) {
    case TarEntry::Type::kFile:
      RETURN_IF_ERROR(CountInode(entry.size));
      entry_ = entry;
      return MakeFile(name);
    case TarEntry::Type::kDirectory:
      return MakeDirectory(entry, name);
    case TarEntry::Type::kHardLink:
      return MakeHardLink(entry, name);
    case TarEntry::Type::kSymlink:
      return MakeSymlink(entry, name);
    case TarEntry::Type::kFifo:
      return MakeFifo(entry, name);
    case TarEntry::Type::kCharDevice:
    case TarEntry::Type::kBlockDevice:
      return absl::OkStatus();  // left out: README
  }
  return BadEntry(entry, "has an unknown type");
}

absl::Status LayerWriter::MakeFile(const std::string& name) {
  RETURN_IF_ERROR(Remove(name));
  auto file = base::OpenBeneath(parent_.get(), name,
                                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (!file.ok()) {
    return FileError(base::GetErrno(file.status()), "make", entry_.path);
  }
  file_ = *std::move(file);
  return absl::OkStatus();
}

absl::Status LayerWriter::MakeDirectory(const TarEntry& entry,
                                        const std::string& name) {
  ASSIGN_OR_RETURN(const bool whiteout, Clear(name, /*only_whiteout=*/false));
  if (mkdirat(parent_.get(), name.c_str(), 0700) == 0) {
    RETURN_IF_ERROR(CountInode(kBlock));
  } else if (errno != EEXIST) {
    return FileError(errno, "make the directory", entry.path);
  }
  auto directory = base::OpenBeneath(parent_.get(), name, kDirectoryFlags);
  if (!directory.ok()) {
    return FileError(base::GetErrno(directory.status()), "open", entry.path);
  }
  if (whiteout) RETURN_IF_ERROR(MarkOpaque(directory->get()));
  return ApplyMetadata(directory->get(), entry);
}

absl::Status LayerWriter::MakeHardLink(const TarEntry& entry,
                                       const std::string& name) {
  ASSIGN_OR_RETURN(std::vector<std::string> target, CleanPath(entry.link));
  if (target.empty()) return BadEntry(entry, "is a hard link to the root");
  const std::string target_name = std::move(target.back());
  target.pop_back();
  RETURN_IF_ERROR(CheckDirectories(target, entry));
  const std::string directory_path =
      target.empty() ? "." : absl::StrJoin(target, "/");
  auto directory = base::OpenBeneath(root_, directory_path, kDirectoryFlags);
  if (!directory.ok()) {
    return FileError(base::GetErrno(directory.status()),
                     "open the target of the hard link", entry.path);
  }
  struct stat st;
  if (fstatat(directory->get(), target_name.c_str(), &st,
              AT_SYMLINK_NOFOLLOW) != 0) {
    return FileError(errno, "find the target of the hard link", entry.path);
  }
  if (S_ISDIR(st.st_mode) || IsWhiteout(st)) {
    return BadEntry(entry, "is a hard link to something that is no file");
  }
  RETURN_IF_ERROR(CountInode(0));
  RETURN_IF_ERROR(Remove(name));
  if (linkat(directory->get(), target_name.c_str(), parent_.get(), name.c_str(),
             0) != 0) {
    return FileError(errno, "make the hard link", entry.path);
  }
  return absl::OkStatus();
}

absl::Status LayerWriter::MakeSymlink(const TarEntry& entry,
                                      const std::string& name) {
  RETURN_IF_ERROR(CountInode(0));
  RETURN_IF_ERROR(Remove(name));
  if (symlinkat(entry.link.c_str(), parent_.get(), name.c_str()) != 0) {
    return FileError(errno, "make the symlink", entry.path);
  }
  return ApplyOwner(parent_.get(), name, entry);
}

absl::Status LayerWriter::MakeFifo(const TarEntry& entry,
                                   const std::string& name) {
  RETURN_IF_ERROR(CountInode(0));
  RETURN_IF_ERROR(Remove(name));
  if (mknodat(parent_.get(), name.c_str(), S_IFIFO | entry.mode, 0) != 0) {
    return FileError(errno, "make the FIFO", entry.path);
  }
  return ApplyOwner(parent_.get(), name, entry);
}

absl::Status LayerWriter::Data(uint64_t offset, absl::string_view bytes) {
  while (file_.valid() && !bytes.empty()) {
    const ssize_t n = pwrite(file_.get(), bytes.data(), bytes.size(),
                             static_cast<off_t>(offset));
    if (n < 0) {
      if (errno == EINTR) continue;
      return FileError(errno, "write", entry_.path);
    }
    offset += static_cast<uint64_t>(n);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status LayerWriter::EndEntry() {
  if (!file_.valid()) return absl::OkStatus();
  // Holes at the end.
  if (entry_.sparse &&
      ftruncate(file_.get(), static_cast<off_t>(entry_.size)) != 0) {
    return FileError(errno, "size", entry_.path);
  }
  absl::Status status = ApplyMetadata(file_.get(), entry_);
  file_.reset();
  return status;
}

}  // namespace warren::image
