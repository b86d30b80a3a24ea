#ifndef WARREN_RUNTIME_BASE_TREE_CURSOR_H_
#define WARREN_RUNTIME_BASE_TREE_CURSOR_H_

#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "runtime/base/deadline.h"
#include "runtime/base/unique_fd.h"

// A walk through a tree that a stranger shaped: as deep as mkdir and chdir go,
// which is deeper than PATH_MAX, and as wide as the disk has inodes. Whatever
// the tree is, the walk holds one descriptor, 8 KiB of names and 24 bytes for
// each level above it, and it does not recurse.
//
//          top            Enter: openat2, no link, no other mount
//         /   \           Leave: "..", which must be where we came from
//        a     b
//        |                levels = [top, a]    descriptor = c
//        c  <--
namespace warren::base {

// One directory of a tree at a time. Not thread-safe.
class TreeCursor {
 public:
  enum class Kind {
    // Nothing is removed. A directory that was left is not seen again.
    kLook,
    // A directory that was left is seen once more, so that it can be removed.
    // Others may be seen again, and may be missed until Rewind().
    kRemove,
  };
  enum class Place {
    kFiles,
    // A cgroup hierarchy: nothing in it ever gets another parent, so that ".."
    // leads back by itself. Levels beyond kMaxLevels are forgotten and found
    // again by the inode of the child.
    kCgroups,
  };
  // Directories above the current one that are remembered, at most 768 KiB.
  static constexpr size_t kMaxLevels = 32768;

  struct Entry {
    const char* name;    // until the next call of anything here
    unsigned char type;  // DT_DIR and so on; DT_UNKNOWN on some file systems
  };

  // At the start of `top`, which was opened for reading (not O_PATH).
  static absl::StatusOr<TreeCursor> Make(UniqueFd top, Kind kind,
                                         Place place = Place::kFiles);

  // The current directory; its inode; how many directories lie above it, 0 in
  // the top.
  int directory() const { return directory_.get(); }
  uint64_t inode() const { return inode_; }
  size_t depth() const { return forgotten_ + levels_.size(); }

  // The next name but "." and ".."; nullptr at the end, also once the directory
  // was removed.
  absl::StatusOr<const Entry*> Next();
  // From the first name again.
  absl::Status Rewind();

  // Goes down into `name`. On an error the cursor stays where it is: EXDEV
  // another mount or file system, ELOOP or ENOTDIR no directory, ENOENT gone,
  // ENAMETOOLONG more levels than kMaxLevels (files only).
  absl::Status Enter(const char* name);
  // Goes up again; only when depth() > 0. kAborted: somebody moved or removed
  // what was entered, so that nobody knows where this is or what comes next;
  // the walk is over. Whoever still wants it starts again from the top.
  absl::Status Leave();

 private:
  struct Level {
    uint64_t inode;
    uint64_t child;    // hash of the name that was entered
    int64_t position;  // before it
  };

  TreeCursor(UniqueFd top, dev_t device, uint64_t inode, Kind kind,
             Place place);
  void GoTo(UniqueFd directory, uint64_t inode);
  absl::Status Fill();
  template <typename Matches>
  absl::StatusOr<bool> SkipTo(int64_t position, bool first_only,
                              Matches matches);
  absl::Status Resume(const Level* level, uint64_t child_inode);

  Kind kind_;
  Place place_;
  dev_t device_;
  UniqueFd directory_;
  uint64_t inode_;
  std::deque<Level> levels_;  // nearest last
  size_t forgotten_ = 0;      // above them
  std::unique_ptr<char[]> names_;
  size_t filled_ = 0;
  size_t at_ = 0;
  int64_t before_ = 0;        // position of the last entry that was read
  int64_t after_ = 0;         // and of the one that follows
  uint64_t entry_inode_ = 0;  // as the directory says
  Entry entry_ = {};
};

// Calls `visit` for every entry of the tree, a directory before what is in it:
// cursor.directory() is where the entry is. True: go down into it, if it is a
// directory of this mount and still there. The first error ends the walk, and
// so does `deadline`. kAborted as from TreeCursor::Leave().
absl::Status WalkTree(
    UniqueFd top, TreeCursor::Place place, const Deadline& deadline,
    absl::FunctionRef<absl::StatusOr<bool>(const TreeCursor& cursor,
                                           const TreeCursor::Entry& entry)>
        visit);

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_TREE_CURSOR_H_
