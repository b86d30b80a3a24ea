#include "runtime/seccomp/program_cache.h"

#include <utility>

#include "runtime/base/status.h"
#include "runtime/seccomp/default_profile.h"
#include "runtime/seccomp/profile_json.h"

namespace warren::seccomp {

ProgramPtr ProgramCache::Find(bool is_default, absl::string_view text,
                              uint64_t capabilities) {
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->is_default != is_default || it->text != text ||
        it->capabilities != (capabilities & it->depends_on)) {
      continue;
    }
    entries_.splice(entries_.begin(), entries_, it);
    return it->program;
  }
  return nullptr;
}

absl::StatusOr<ProgramPtr> ProgramCache::Add(Entry entry,
                                             const Profile& profile,
                                             uint64_t capabilities) {
  ASSIGN_OR_RETURN(Program program, Compile(profile, capabilities, host_));
  entry.depends_on = profile.Capabilities();
  entry.capabilities = capabilities & entry.depends_on;
  entry.program = std::make_shared<const Program>(std::move(program));
  const ProgramPtr made = entry.program;
  bytes_ += entry.bytes();
  entries_.push_front(std::move(entry));
  while (entries_.size() > kMaxPrograms || bytes_ > kMaxBytes) {
    bytes_ -= entries_.back().bytes();
    entries_.pop_back();
  }
  return made;
}

absl::StatusOr<ProgramPtr> ProgramCache::RuntimeDefault(uint64_t capabilities) {
  absl::MutexLock lock(&mutex_);
  if (ProgramPtr known = Find(true, "", capabilities)) return known;
  Entry entry;
  entry.is_default = true;
  return Add(std::move(entry), seccomp::RuntimeDefault(), capabilities);
}

absl::StatusOr<ProgramPtr> ProgramCache::FromJson(absl::string_view text,
                                                  uint64_t capabilities) {
  absl::MutexLock lock(&mutex_);
  if (ProgramPtr known = Find(false, text, capabilities)) return known;
  ASSIGN_OR_RETURN(const Profile profile, ParseProfile(text));
  Entry entry;
  entry.text = std::string(text);
  return Add(std::move(entry), profile, capabilities);
}

size_t ProgramCache::size() const {
  absl::MutexLock lock(&mutex_);
  return entries_.size();
}

}  // namespace warren::seccomp
