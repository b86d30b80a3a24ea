#include "agent/cdi/registry.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "agent/cdi/document.h"
#include "agent/cri/validate.h"
#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

constexpr size_t kMaxFiles = 1024;         // of one directory
constexpr size_t kMaxFileBytes = 1 << 20;  // NVIDIA's have some 10 KiB
constexpr size_t kMaxShown = 1024;         // bytes of complaints in one message

bool Same(const struct stat& a, const struct stat& b) {
  const auto equal = [](const timespec& x, const timespec& y) {
    return x.tv_sec == y.tv_sec && x.tv_nsec == y.tv_nsec;
  };
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino &&
         a.st_size == b.st_size && equal(a.st_mtim, b.st_mtim) &&
         equal(a.st_ctim, b.st_ctim);
}

absl::StatusOr<CdiSpec> ReadSpec(const std::string& path, struct stat* st) {
  ASSIGN_OR_RETURN(const base::UniqueFd file,
                   base::OpenRegularFileAt(AT_FDCWD, path));
  if (fstat(file.get(), st) != 0) return base::ErrnoError(errno, "stat");
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadRegularFd(file.get(), kMaxFileBytes));
  ASSIGN_OR_RETURN(
      const image::Json document,
      ParseCdiDocument(text, absl::EndsWith(path, ".json") ? CdiFormat::kJson
                                                           : CdiFormat::kYaml));
  return ParseCdiSpec(document);
}

// A file in place of a directory gives ENOTDIR, too.
bool IsThere(const std::string& path) {
  struct stat st = {};
  return lstat(path.c_str(), &st) == 0;
}

// Fields and sources as messages call them, now that the device has a name.
absl::Status Name(const std::string& prefix, size_t devices_from,
                  size_t mounts_from, CdiEdits* edits) {
  for (size_t i = devices_from; i < edits->devices.size(); ++i) {
    std::string& field = edits->devices[i].field;
    field = absl::StrCat(prefix, field);
  }
  for (size_t i = mounts_from; i < edits->mounts.size(); ++i) {
    const auto source =
        base::OpenAt(AT_FDCWD, edits->mounts[i].host_path, O_PATH);
    if (source.ok()) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        prefix, "mounts: hostPath ", Shown(edits->mounts[i].host_path), ": ",
        source.status().message()));
  }
  return absl::OkStatus();
}

}  // namespace

CdiRegistry::Files CdiRegistry::ReadDirectory(const std::string& directory,
                                              const Files& known) {
  Files files;
  auto names = base::ListDir(AT_FDCWD, directory);
  if (!names.ok()) {
    // Its devices are unknown, and messages say so.
    if (!base::ProvesAbsence(base::GetErrno(names.status())) ||
        IsThere(directory)) {
      files[directory].spec = names.status();
    }
    return files;
  }
  std::sort(names->begin(), names->end());
  for (const std::string& name : *names) {
    if (!absl::EndsWith(name, ".json") && !absl::EndsWith(name, ".yaml")) {
      continue;
    }
    const std::string path = absl::StrCat(directory, "/", name);
    File file;
    if (files.size() >= kMaxFiles) {
      file.spec = absl::ResourceExhaustedError(
          absl::StrCat("there are ", kMaxFiles, " before it"));
      files[path] = std::move(file);
      break;
    }
    const auto old = known.find(path);
    struct stat st = {};
    if (old != known.end() && stat(path.c_str(), &st) == 0 &&
        Same(st, old->second.stat)) {
      files.insert(*old);
      continue;
    }
    file.spec = ReadSpec(path, &file.stat);
    files[path] = std::move(file);
  }
  return files;
}

void CdiRegistry::Refresh() {
  files_.resize(directories_.size());
  for (size_t i = 0; i < directories_.size(); ++i) {
    files_[i] = ReadDirectory(directories_[i], files_[i]);
  }
  NoteUnreadable();
}

std::string CdiRegistry::Unreadable() const {
  const base::MutexLock lock(&problem_mutex_);
  return unreadable_;
}

void CdiRegistry::NoteUnreadable() {
  std::string text;
  for (const Files& files : files_) {
    for (const auto& [path, file] : files) {
      if (file.spec.ok() || text.size() > kMaxShown) continue;
      absl::StrAppend(&text, text.empty() ? "" : ", ", path, " (",
                      file.spec.status().message(), ")");
    }
  }
  const base::MutexLock lock(&problem_mutex_);
  unreadable_ = std::move(text);
}

absl::StatusOr<CdiRegistry::Found> CdiRegistry::Find(
    const CdiName& name) const {
  for (size_t i = files_.size(); i-- > 0;) {
    Found found;
    for (const auto& [path, file] : files_[i]) {
      if (!file.spec.ok() || file.spec->kind != name.kind) continue;
      const auto device = file.spec->devices.find(name.device);
      if (device == file.spec->devices.end()) continue;
      if (found.spec != nullptr) {
        return absl::FailedPreconditionError(absl::StrCat(
            name.field, ": CDI device ", Shown(name.text()),
            " is defined both in ", *found.path, " and in ", path));
      }
      found = {&path, &*file.spec, &device->second};
    }
    if (found.spec != nullptr) return found;
  }
  const std::string unreadable = Unreadable();
  return absl::FailedPreconditionError(absl::StrCat(
      name.field, ": no CDI device ", Shown(name.text()), " in ",
      absl::StrJoin(directories_, ", "),
      unreadable.empty() ? "" : "; these could not be read: ", unreadable));
}

absl::StatusOr<CdiEdits> CdiRegistry::Resolve(
    const std::vector<CdiName>& names) {
  CdiEdits edits;
  if (names.empty()) return edits;
  const absl::MutexLock lock(&mutex_);
  Refresh();
  std::set<const CdiSpec*> specs;
  for (const CdiName& name : names) {
    ASSIGN_OR_RETURN(const Found found, Find(name));
    const std::string prefix =
        absl::StrCat(name.field, ": CDI device ", Shown(name.text()), " of ",
                     *found.path, ": ");
    const size_t devices = edits.devices.size();
    const size_t mounts = edits.mounts.size();
    if (specs.insert(found.spec).second) Append(found.spec->edits, &edits);
    Append(*found.device, &edits);
    if (!edits.unsupported.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          prefix, edits.unsupported, " cannot be done by this runtime"));
    }
    RETURN_IF_ERROR(Name(prefix, devices, mounts, &edits));
  }
  return edits;
}

}  // namespace warren::agent
