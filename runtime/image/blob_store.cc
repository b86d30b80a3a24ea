#include "runtime/image/blob_store.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"
#include "runtime/image/limits.h"

namespace warren::image {
namespace {

constexpr char kDirectory[] = "blobs/sha256";

std::string PathOf(const Digest& digest) {
  return absl::StrCat(kDirectory, "/", digest.hex());
}

}  // namespace

absl::Status BlobStore::Install(int from_dir, const std::string& name,
                                const Digest& digest) {
  if (renameat(from_dir, name.c_str(), root_, PathOf(digest).c_str()) != 0) {
    return base::ErrnoError(errno, "move a blob to its place");
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> BlobStore::Link(const Digest& digest,
                                     const std::string& name) const {
  if (linkat(root_, PathOf(digest).c_str(), root_, name.c_str(), 0) == 0) {
    return true;
  }
  if (errno == ENOENT) return false;
  return base::ErrnoError(errno, "share a blob");
}

absl::StatusOr<std::string> BlobStore::ReadDocument(
    const Digest& digest) const {
  auto text = base::ReadRegularFileAt(root_, PathOf(digest), kMaxDocumentBytes);
  if (!text.ok()) {
    if (base::GetErrno(text.status()) != ENOENT) return text.status();
    return absl::NotFoundError(
        absl::StrCat("blob ", digest.ToString(), " is not on disk"));
  }
  if (Digest::Of(*text) != digest) {
    return absl::DataLossError(
        absl::StrCat("blob ", digest.ToString(), " has changed on disk"));
  }
  return text;
}

absl::Status BlobStore::Remove(const Digest& digest) {
  if (unlinkat(root_, PathOf(digest).c_str(), 0) != 0 && errno != ENOENT) {
    return base::ErrnoError(errno, "remove a blob");
  }
  return absl::OkStatus();
}

absl::Status BlobStore::RemoveExcept(const std::set<Digest>& keep) {
  ASSIGN_OR_RETURN(const auto names, base::ListDir(root_, kDirectory));
  absl::Status result;
  for (const std::string& name : names) {
    const auto digest = Digest::FromHex(name);
    if (digest.ok() && keep.count(*digest) > 0) continue;
    base::Update(&result,
                 base::RemoveTree(root_, absl::StrCat(kDirectory, "/", name)));
  }
  return result;
}

absl::Status BlobStore::Usage(uint64_t* bytes, uint64_t* inodes) const {
  ASSIGN_OR_RETURN(const auto names, base::ListDir(root_, kDirectory));
  for (const std::string& name : names) {
    struct stat st;
    if (fstatat(root_, absl::StrCat(kDirectory, "/", name).c_str(), &st,
                AT_SYMLINK_NOFOLLOW) != 0) {
      if (base::ProvesAbsence(errno)) continue;  // removed meanwhile
      return base::ErrnoError(errno, absl::StrCat("look at blob ", name));
    }
    *bytes += static_cast<uint64_t>(st.st_blocks) * 512;
    ++*inodes;
  }
  return absl::OkStatus();
}

}  // namespace warren::image
