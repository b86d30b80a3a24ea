#ifndef WARREN_AGENT_CTL_ARCHIVE_H_
#define WARREN_AGENT_CTL_ARCHIVE_H_

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <functional>

// Where the bytes of an image import come from. Errors of `sink` are returned
// as they are.
namespace warren::agent::ctl {

using ByteSink = std::function<absl::Status(absl::string_view)>;

// Everything that can be read from `fd` (a file or a pipe).
absl::Status CopyFd(int fd, const ByteSink& sink);

// An OCI image layout directory (opened as `layout_fd`) as a tar: oci-layout,
// index.json and the blobs, in this order, so that a reader knows early what
// it is given. Symlinks in it are not followed. kInvalidArgument when it is
// no layout.
absl::Status WriteLayoutTar(int layout_fd, const ByteSink& sink);

}  // namespace warren::agent::ctl

#endif  // WARREN_AGENT_CTL_ARCHIVE_H_
