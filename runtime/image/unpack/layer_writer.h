#ifndef WARREN_RUNTIME_IMAGE_UNPACK_LAYER_WRITER_H_
#define WARREN_RUNTIME_IMAGE_UNPACK_LAYER_WRITER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "runtime/image/leanings.h"
#include "runtime/image/tar_entry.h"
#include "runtime/image/unpack/layer_tree.h"

namespace warren::image {

// Writes the members of a layer's tar into one directory, in overlayfs' format
// (../README.md). Every path is walked by descriptor from that directory with
// openat2(2) that follows no symlink; links of the same layer in the parents of
// a member are read and resolved inside (layer_tree.h); what is in the place of
// a member is removed with all that is in it, never followed. A directory
// stays where a directory is put.
//
// What the layer leans on in the layers below it is noted (../leanings.h). A
// hard link to a file that the layer lacks is an empty file until an image is
// completed.
//
// Files belong to the ids and carry the modes and times of the archive;
// making or removing something leaves the time of its directory as it was.
// kInvalidArgument: the archive breaks a rule. kResourceExhausted: a budget.
// kInternal: the file system refused. After an error the directory is to be
// thrown away. Thread-compatible; the process' umask must be 0.
class LayerWriter : public TarSink {
 public:
  struct Budget {
    uint64_t bytes = 0;   // of files as their readers see them
    uint64_t inodes = 0;  // files and directories made, also unlisted parents
  };

  // `root` is borrowed: an empty directory, open for reading.
  LayerWriter(int root, Budget budget) : root_(root), budget_(budget) {}

  // Before the first member: gives the root the mode, owner and time it has
  // when the archive does not list it.
  absl::Status Begin();

  absl::Status BeginEntry(const TarEntry& entry) override;
  absl::Status Data(uint64_t offset, absl::string_view bytes) override;
  absl::Status EndEntry() override;

  uint64_t inodes() const { return inodes_; }
  // Of files and directories made, each rounded up to 4 KiB.
  uint64_t disk_bytes() const { return disk_bytes_; }
  const Leanings& leanings() const { return leanings_; }

 private:
  // Where a member goes: a directory that stays open in parent_, and a name.
  absl::Status OpenParent(const std::vector<std::string>& parts);
  absl::Status MakeParents(const std::vector<std::string>& parts);
  absl::StatusOr<base::UniqueFd> MakeParent(const std::string& name);
  std::string PathOf(const std::string& name) const;
  absl::Status Remove(const std::string& name);
  absl::StatusOr<bool> Clear(const std::string& name);

  absl::Status Place(const TarEntry& entry, const std::string& name);
  absl::Status Whiteout(const TarEntry& entry, absl::string_view marked);
  absl::Status MakeFile(const std::string& name);
  absl::Status MakeDirectory(const TarEntry& entry, const std::string& name);
  absl::Status MakeHardLink(const TarEntry& entry, const std::string& name);
  absl::Status LinkTo(const TarEntry& entry, const std::string& name,
                      const Walked& target, const std::string& target_name);
  absl::Status LeanOn(const TarEntry& entry, const std::string& name,
                      const Walked& target, const std::string& target_name);
  absl::Status MakeSymlink(const TarEntry& entry, const std::string& name);
  absl::Status MakeFifo(const TarEntry& entry, const std::string& name);
  absl::Status CountInode(uint64_t size);

  const int root_;
  const Budget budget_;
  uint64_t inodes_ = 0;
  uint64_t bytes_ = 0;
  uint64_t disk_bytes_ = 0;

  base::UniqueFd parent_;
  std::string parent_path_;  // of parent_, without links
  // The same as an archive spells it without links; "/" after another spelling,
  // as no clean path starts so.
  std::string parent_name_ = "/";
  Leanings leanings_;
  TarEntry entry_;       // the file being written
  base::UniqueFd file_;  // invalid: its data is dropped
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_UNPACK_LAYER_WRITER_H_
