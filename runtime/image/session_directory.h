#ifndef WARREN_RUNTIME_IMAGE_SESSION_DIRECTORY_H_
#define WARREN_RUNTIME_IMAGE_SESSION_DIRECTORY_H_

#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <utility>

#include "runtime/base/unique_fd.h"

namespace warren::image {

// The directory of one import or pull, where its blobs lie until they are
// published. It goes with this object; what cannot be deleted then goes with
// the next start's CollectGarbage.
class SessionDirectory {
 public:
  // `root`: the store's directory, borrowed and longer-lived; `name`: a path
  // below it that is not there yet.
  static absl::StatusOr<std::unique_ptr<SessionDirectory>> Make(
      int root, std::string name);
  ~SessionDirectory();
  SessionDirectory(const SessionDirectory&) = delete;
  SessionDirectory& operator=(const SessionDirectory&) = delete;

  int fd() const { return directory_.get(); }
  // Deletes it now. Idempotent.
  absl::Status Remove();

 private:
  SessionDirectory(int root, std::string name)
      : root_(root), name_(std::move(name)) {}

  const int root_;
  const std::string name_;
  base::UniqueFd directory_;
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_SESSION_DIRECTORY_H_
