#ifndef WARREN_RUNTIME_MOUNTS_MOUNT_POINTS_H_
#define WARREN_RUNTIME_MOUNTS_MOUNT_POINTS_H_

#include <absl/status/status.h>

#include <string>

// The lowest layer of every container's root file system: the places that the
// base mounts need and nothing else.
//
//   <state>/mount_points/dev  /proc  /sys              empty directories, 0755
//                       /etc/{hostname,hosts,resolv.conf}  empty files, 0644
//
// An image hardly ever has all of them. Without this layer the init makes what
// is missing in the container's own upper directory: four inodes, among them a
// copy of /etc, with every start, and as many to free with every removal. As
// the lowest layer it only fills gaps: what the image says about one of these
// paths (a file, a link, an owner, a whiteout) wins, and where the image hides
// one, the init makes it in the upper directory.
namespace warren::runtime {

// Makes `dir`, whose parent exists, and what is missing in it. Idempotent;
// once, when the runtime starts. Nothing in it is changed or removed, because
// running containers have it mounted: a different set of places needs a
// directory of another name. Errors are errno's.
absl::Status MakeMountPoints(const std::string& dir);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MOUNTS_MOUNT_POINTS_H_
