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

absl::Status LayerWriter::Begin() {
  RETURN_IF_ERROR(leanings_.AddDirectory(""));
  return DefaultDirectory(root_);
}

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
    leanings_.RemoveDirectory("");
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
  std::string name = absl::StrJoin(parts, "/");
  if (name == parent_name_) return absl::OkStatus();
  parent_name_ = "/";
  auto opened =
      base::OpenBeneath(root_, name.empty() ? "." : name, kDirectoryFlags);
  if (opened.ok()) {
    parent_ = *std::move(opened);
    parent_path_ = name;
    parent_name_ = std::move(name);
    return absl::OkStatus();
  }
  // Missing, a whiteout where the directory shall be, or a link on the way.
  const int err = base::GetErrno(opened.status());
  if (err != ENOENT && err != ENOTDIR && err != ELOOP) {
    return FileError(err, "open the directory", name);
  }
  ASSIGN_OR_RETURN(const Walked walked, WalkLayer(root_, parts));
  return MakeParents(walked.parts);
}

absl::Status LayerWriter::MakeParents(const std::vector<std::string>& parts) {
  ASSIGN_OR_RETURN(parent_, base::OpenBeneath(root_, ".", kDirectoryFlags));
  parent_path_.clear();
  for (const std::string& name : parts) {
    ASSIGN_OR_RETURN(parent_, MakeParent(name));
    parent_path_ = PathOf(name);
  }
  return absl::OkStatus();
}

std::string LayerWriter::PathOf(const std::string& name) const {
  return parent_path_.empty() ? name : absl::StrCat(parent_path_, "/", name);
}

absl::StatusOr<base::UniqueFd> LayerWriter::MakeParent(
    const std::string& name) {
  const KeepTime keep(parent_.get());
  // Nothing but a directory or a whiteout: WalkLayer was here.
  ASSIGN_OR_RETURN(const bool replaced, Clear(name));
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
  if (replaced) {
    RETURN_IF_ERROR(MarkOpaque(directory->get()));
  } else if (made) {
    RETURN_IF_ERROR(leanings_.AddDirectory(PathOf(name)));
  }
  return directory;
}

absl::Status LayerWriter::Remove(const std::string& name) {
  RETURN_IF_ERROR(RemoveAt(parent_.get(), name));
  leanings_.RemoveTree(PathOf(name));
  return absl::OkStatus();
}

// Makes way for a directory `name`; one that is there stays. True when
// something else was there, a whiteout or a member of this layer: it hid what
// the layers below have there, so the directory must be opaque.
absl::StatusOr<bool> LayerWriter::Clear(const std::string& name) {
  struct stat st;
  if (fstatat(parent_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return false;
    return FileError(errno, "look at", name);
  }
  if (S_ISDIR(st.st_mode)) return false;
  RETURN_IF_ERROR(Remove(name));
  return true;
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
    leanings_.RemoveDirectory(PathOf(name));  // it has none below any more
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
  ASSIGN_OR_RETURN(const bool replaced, Clear(name));
  if (mkdirat(parent_.get(), name.c_str(), 0700) == 0) {
    RETURN_IF_ERROR(CountInode(kBlock));
  } else if (errno != EEXIST) {
    return FileError(errno, "make the directory", entry.path);
  }
  auto directory = base::OpenBeneath(parent_.get(), name, kDirectoryFlags);
  if (!directory.ok()) {
    return FileError(base::GetErrno(directory.status()), "open", entry.path);
  }
  if (replaced) RETURN_IF_ERROR(MarkOpaque(directory->get()));
  leanings_.RemoveDirectory(PathOf(name));
  return ApplyMetadata(directory->get(), entry);
}

absl::Status LayerWriter::MakeHardLink(const TarEntry& entry,
                                       const std::string& name) {
  ASSIGN_OR_RETURN(std::vector<std::string> target, CleanPath(entry.link));
  if (target.empty()) return BadEntry(entry, "is a hard link to the root");
  const std::string target_name = std::move(target.back());
  target.pop_back();
  RETURN_IF_ERROR(CheckDirectories(target, entry));
  ASSIGN_OR_RETURN_IN(
      const Walked walked, WalkLayer(root_, target),
      absl::StrCat("target of the hard link \"", Printable(entry.path), "\""));
  // Whatever is replaced by the link goes first, with all that is in it.
  std::vector<std::string> whole = walked.parts;
  whole.push_back(target_name);
  const std::string own = PathOf(name);
  const std::string path = absl::StrJoin(whole, "/");
  if (path == own || absl::StartsWith(path, absl::StrCat(own, "/"))) {
    return BadEntry(entry, "is a hard link to something that it replaces");
  }
  RETURN_IF_ERROR(CountInode(0));
  struct stat st;
  if (!walked.directory.valid() ||
      fstatat(walked.directory.get(), target_name.c_str(), &st,
              AT_SYMLINK_NOFOLLOW) != 0) {
    if (walked.directory.valid() && errno != ENOENT) {
      return FileError(errno, "find the target of the hard link", entry.path);
    }
    return LeanOn(entry, name, walked, target_name);
  }
  if (S_ISDIR(st.st_mode) || IsWhiteout(st)) {
    return BadEntry(entry, "is a hard link to something that is no file");
  }
  return LinkTo(entry, name, walked, target_name);
}

absl::Status LayerWriter::LinkTo(const TarEntry& entry, const std::string& name,
                                 const Walked& target,
                                 const std::string& target_name) {
  RETURN_IF_ERROR(Remove(name));
  if (linkat(target.directory.get(), target_name.c_str(), parent_.get(),
             name.c_str(), 0) != 0) {
    return FileError(errno, "make the hard link", entry.path);
  }
  std::vector<std::string> path = target.parts;
  path.push_back(target_name);
  const auto lower = leanings_.LinkTarget(absl::StrJoin(path, "/"));
  if (!lower.has_value()) return absl::OkStatus();
  return leanings_.AddLink(PathOf(name), *lower);
}

// A hard link to a file of a layer below.
absl::Status LayerWriter::LeanOn(const TarEntry& entry, const std::string& name,
                                 const Walked& target,
                                 const std::string& target_name) {
  if (target.hidden ||
      (target.directory.valid() && IsOpaque(target.directory.get()))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", Printable(entry.path), "\" is a hard link to \"",
        Printable(entry.link), "\", which this layer has not, and hides"));
  }
  RETURN_IF_ERROR(Remove(name));
  const auto file = base::OpenBeneath(
      parent_.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0);
  if (!file.ok()) {
    return FileError(base::GetErrno(file.status()), "make", entry.path);
  }
  std::vector<std::string> path = target.parts;
  path.push_back(target_name);
  return leanings_.AddLink(PathOf(name), absl::StrJoin(path, "/"));
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
