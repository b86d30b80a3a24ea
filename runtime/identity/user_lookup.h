#ifndef WARREN_RUNTIME_IDENTITY_USER_LOOKUP_H_
#define WARREN_RUNTIME_IDENTITY_USER_LOOKUP_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <string>

#include "runtime/runtime.h"

// Who a container's process runs as (EXE-5): the request's name, else its uid,
// else the image's USER, else 0.
//
//   text of a user       meaning
//   "", ":g"             uid 0
//   digits               that uid, 0..2147483647, never looked up as a name;
//                        its passwd entry, if any, gives gid and home
//   a name               must be in the image's /etc/passwd: letters, digits,
//                        "_", "-", ".", first a letter or "_", last maybe "$"
//   anything else        refused ("1,000"), also where passwd has it
//   …:g                  g alike, in /etc/group; wins over the passwd gid
//
// Supplementary groups: the primary gid first, then (unless strict) those of
// the image's /etc/group that list the user's name, then the requested ones;
// each once.
namespace warren::runtime {

// Reads /etc/passwd and /etc/group below `rootfs_fd` and resolves. They may be
// links; all are followed inside that root only, those of procfs never. A
// missing file counts as empty; one that is no regular file, is larger than
// 1 MiB or is a link to nowhere is kInvalidArgument (FS-8). `rootfs_fd` is
// borrowed. Thread-safe; blocks for reading two files.
absl::StatusOr<User> LookUpUser(const UserRequest& request, int rootfs_fd);

// The same on the files' content. Pure. kInvalidArgument: unknown names,
// numbers out of range, malformed texts, a gid without a user.
absl::StatusOr<User> ResolveUser(const UserRequest& request,
                                 absl::string_view passwd,
                                 absl::string_view group);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_IDENTITY_USER_LOOKUP_H_
