#include "runtime/image/leanings_store.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "runtime/base/file.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"
#include "runtime/image/limits.h"

namespace warren::image {
namespace {

constexpr char kLeaningsDirectory[] = "leanings";

std::string FileOf(const Digest& diff_id) {
  return absl::StrCat(kLeaningsDirectory, "/", diff_id.hex());
}

}  // namespace

absl::Status LeaningsStore::Write(const Digest& diff_id,
                                  const Leanings& leanings,
                                  bool durable) const {
  ASSIGN_OR_RETURN(const base::UniqueFd directory,
                   base::OpenAt(root_, kLeaningsDirectory,
                                O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return base::WriteFileAtomic(directory.get(), diff_id.hex(),
                               leanings.Encode(), 0600, durable);
}

absl::StatusOr<Leanings> LeaningsStore::Read(const Digest& diff_id) const {
  const auto text =
      base::ReadRegularFileAt(root_, FileOf(diff_id), kMaxLeaningBytes);
  if (!text.ok()) {
    if (base::GetErrno(text.status()) != ENOENT) return text.status();
    return absl::NotFoundError(absl::StrCat("what layer ", diff_id.ToString(),
                                            " leans on is not on disk"));
  }
  auto leanings = Leanings::Decode(*text);
  if (leanings.ok()) return leanings;
  return absl::DataLossError(absl::StrCat("layer ", diff_id.ToString(), ": ",
                                          leanings.status().message()));
}

bool LeaningsStore::Has(const Digest& diff_id) const {
  struct stat st;
  return fstatat(root_, FileOf(diff_id).c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
}

absl::Status LeaningsStore::Remove(const Digest& diff_id) const {
  if (unlinkat(root_, FileOf(diff_id).c_str(), 0) != 0 && errno != ENOENT) {
    return base::ErrnoError(errno, "remove what a layer leans on");
  }
  return absl::OkStatus();
}

absl::Status LeaningsStore::RemoveExcept(const std::set<Digest>& needed) const {
  ASSIGN_OR_RETURN(const auto names, base::ListDir(root_, kLeaningsDirectory));
  absl::Status result;
  for (const std::string& name : names) {
    const auto diff_id = Digest::FromHex(name);
    if (diff_id.ok() && needed.count(*diff_id) > 0) continue;
    if (unlinkat(root_, absl::StrCat(kLeaningsDirectory, "/", name).c_str(),
                 0) != 0 &&
        errno != ENOENT) {
      base::Update(&result,
                   base::ErrnoError(errno, "remove what a layer leans on"));
    }
  }
  return result;
}

}  // namespace warren::image
