#ifndef WARREN_RUNTIME_IMAGE_LEANINGS_H_
#define WARREN_RUNTIME_IMAGE_LEANINGS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace warren::image {

// What one layer leans on in the layers below it, as its archive names things
// that only those can tell:
//   - a directory that it needs and does not list ("tmp/x" without "tmp/")
//     has the owner, mode and attributes that it has below;
//   - a hard link to a file that it lacks is the file below.
// Paths are those in the layer's directory: clean, relative, no symlink on
// the way, "" = the root. Written down beside the layer (layer_store.h); an
// image is completed from it (completion.h). Value type.
class Leanings {
 public:
  // kResourceExhausted past kMaxLeanings and kMaxLeaningBytes.
  absl::Status AddDirectory(const std::string& path);
  absl::Status AddLink(const std::string& path, const std::string& target);

  // The archive lists the directory after all, or hides what is below it.
  void RemoveDirectory(const std::string& path);
  // Something else takes the place of `path` and all that is below it.
  void RemoveTree(const std::string& path);

  bool HasDirectory(const std::string& path) const {
    return directories_.count(path) > 0;
  }
  // What the hard link `path` leads to; nothing if it is none of these.
  std::optional<std::string> LinkTarget(const std::string& path) const;

  const std::set<std::string>& directories() const { return directories_; }
  const std::map<std::string, std::string>& links() const { return links_; }
  bool empty() const { return directories_.empty() && links_.empty(); }
  size_t bytes() const { return bytes_; }  // length of Encode()

  // One text: "d" PATH NUL for a directory, "l" PATH NUL TARGET NUL for a
  // link, sorted.
  std::string Encode() const;
  // kInvalidArgument when Encode does not write such a text: it may come from
  // a process that a stranger owns.
  static absl::StatusOr<Leanings> Decode(absl::string_view text);

 private:
  absl::Status Count(size_t bytes);
  void EraseDirectory(std::set<std::string>::iterator it);
  void EraseLink(std::map<std::string, std::string>::iterator it);

  std::set<std::string> directories_;
  std::map<std::string, std::string> links_;
  size_t bytes_ = 0;  // of the text
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_LEANINGS_H_
