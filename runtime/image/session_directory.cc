#include "runtime/image/session_directory.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::image {

absl::StatusOr<std::unique_ptr<SessionDirectory>> SessionDirectory::Make(
    int root, std::string name) {
  if (mkdirat(root, name.c_str(), 0700) != 0) {
    return base::ErrnoError(errno, "make a directory for an image");
  }
  std::unique_ptr<SessionDirectory> session(
      new SessionDirectory(root, std::move(name)));
  ASSIGN_OR_RETURN(
      session->directory_,
      base::OpenAt(root, session->name_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  return session;
}

SessionDirectory::~SessionDirectory() { Remove().IgnoreError(); }

absl::Status SessionDirectory::Remove() {
  return base::RemoveTree(root_, name_);
}

}  // namespace warren::image
