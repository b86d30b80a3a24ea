#ifndef WARREN_RUNTIME_SECCOMP_PROGRAM_CACHE_H_
#define WARREN_RUNTIME_SECCOMP_PROGRAM_CACHE_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "runtime/seccomp/compiler.h"
#include "runtime/seccomp/profile.h"

namespace warren::seccomp {

using ProgramPtr = std::shared_ptr<const Program>;

// Compiled profiles by what they are made of: the profile's text and those
// capabilities that it depends on. Thread-safe; one profile is compiled at a
// time, which also keeps libseccomp to one thread.
class ProgramCache {
 public:
  // What is least recently used goes first.
  static constexpr size_t kMaxPrograms = 32;
  static constexpr size_t kMaxBytes = 4 << 20;  // texts and programs

  explicit ProgramCache(const Host& host) : host_(host) {}

  absl::StatusOr<ProgramPtr> RuntimeDefault(uint64_t capabilities);

  // `text` is JSON; errors are those of ParseProfile and Compile.
  absl::StatusOr<ProgramPtr> FromJson(absl::string_view text,
                                      uint64_t capabilities);

  size_t size() const;

 private:
  struct Entry {
    bool is_default = false;
    std::string text;
    uint64_t depends_on = 0;    // Profile::Capabilities()
    uint64_t capabilities = 0;  // of those
    ProgramPtr program;

    size_t bytes() const { return text.size() + program->instructions.size(); }
  };

  ProgramPtr Find(bool is_default, absl::string_view text,
                  uint64_t capabilities) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<ProgramPtr> Add(Entry entry, const Profile& profile,
                                 uint64_t capabilities)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Host host_;
  mutable absl::Mutex mutex_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // newest first
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace warren::seccomp

#endif  // WARREN_RUNTIME_SECCOMP_PROGRAM_CACHE_H_
