#ifndef WARREN_RUNTIME_MOUNTS_LABEL_H_
#define WARREN_RUNTIME_MOUNTS_LABEL_H_

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <string>
#include <vector>

// Labels of files for SELinux, which say what a container's processes may use.
// A label is user:role:type:level; a file keeps its own in the extended
// attribute security.selinux (selinux(8), xattr(7)). Thread-safe.
namespace warren::runtime {

// The label of the files of a container whose processes have `process_label`:
// the same user, object_r, the type container_file_t, which policies have for
// this, and the same level, so that containers of different categories cannot
// use each other's files. "" for "". Pure.
std::string FileLabel(absl::string_view process_label);
// The same at another level.
std::string FileLabelAt(absl::string_view process_label,
                        absl::string_view level);

// Gives one file of any kind the label; `fd` may be O_PATH, also of a symlink.
// OK without an effect where the file system has no labels (ENOTSUP).
absl::Status LabelFile(int fd, const std::string& label);

// A tree that is made name by name can be deeper than any path is long.
inline constexpr int kMaxLabelDepth = 256;

// Labels the file at `place` (O_PATH), or the directory and everything below it
// but other mounts. Another writer of the volume may try to lead it elsewhere:
// it goes down by descriptors, from name to name, and follows no link. What has
// the label already is not written to; what vanishes meanwhile is passed over.
// So is what lies deeper than `max_depth` directories: it keeps its label and
// the container cannot use it, so that one who shares a volume cannot make it
// fail for others. kFailedPrecondition: a read-only file system. On failure
// what was labelled so far stays. Takes as long as the tree is large; cannot be
// cancelled. Bounded as base/tree_cursor.h says; kAborted when directories of
// it are moved all the time.
absl::Status LabelTree(int place, const std::string& label,
                       int max_depth = kMaxLabelDepth);

// kInvalidArgument when `place` is a directory that the node needs as it is
// ("/", /home, /var, …, by whatever name it was found) or lies in one with
// nothing but the node's own (/etc, /usr, /dev, …): once labelled for a
// container, the node's own programs could not use it any more. The same for
// `own_directories`, the agent's: these, what is in them and what they are in.
// An error where one of them cannot be opened.
absl::Status CheckMayLabel(int place,
                           const std::vector<std::string>& own_directories);

}  // namespace warren::runtime

#endif  // WARREN_RUNTIME_MOUNTS_LABEL_H_
