#ifndef WARREN_AGENT_CDI_REGISTRY_H_
#define WARREN_AGENT_CDI_REGISTRY_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>
#include <sys/stat.h>

#include <map>
#include <string>
#include <vector>

#include "agent/cdi/name.h"
#include "agent/cdi/spec.h"
#include "runtime/base/mutex.h"

namespace warren::agent {

// The CDI devices of the node: specification files *.json and *.yaml right in
// some directories, which vendors' software writes at any time. Files are read
// when a device is asked for and only those that are new or changed (inode,
// size, mtime, ctime); nothing is read before, and nothing is kept of a file
// that has gone. At most 1024 files of 1 MiB each in a directory; a FIFO is
// not waited for. Thread-safe; one call at a time reads.
class CdiRegistry {
 public:
  // Of two directories that define a device, the later one wins; a missing
  // directory is an empty one.
  explicit CdiRegistry(std::vector<std::string> directories)
      : directories_(std::move(directories)) {}

  // What all these devices need. Edits of a specification as a whole come
  // before those of its devices, and once. Without names no file is touched.
  // kFailedPrecondition names the request's field: a device that is in no
  // file (the message has the files that could not be read), in two files of
  // one directory, needs what this runtime does not do, or a mount whose source
  // is not there.
  absl::StatusOr<CdiEdits> Resolve(const std::vector<CdiName>& names);

  // The files that the last Resolve could not read, each with the reason;
  // empty: none. Does not wait for a Resolve.
  std::string Unreadable() const;

 private:
  struct File {
    struct stat stat = {};
    absl::StatusOr<CdiSpec> spec = CdiSpec();
  };
  // By path.
  using Files = std::map<std::string, File>;
  struct Found {
    const std::string* path = nullptr;
    const CdiSpec* spec = nullptr;
    const CdiEdits* device = nullptr;
  };

  void Refresh() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static Files ReadDirectory(const std::string& directory, const Files& known);
  absl::StatusOr<Found> Find(const CdiName& name) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteUnreadable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::vector<std::string> directories_;
  absl::Mutex mutex_;
  std::vector<Files> files_ ABSL_GUARDED_BY(mutex_);  // one for each directory
  mutable base::Mutex problem_mutex_ ABSL_ACQUIRED_AFTER(mutex_);
  std::string unreadable_ ABSL_GUARDED_BY(problem_mutex_);
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_CDI_REGISTRY_H_
