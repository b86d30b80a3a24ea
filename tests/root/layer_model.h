#ifndef WARREN_TESTS_ROOT_LAYER_MODEL_H_
#define WARREN_TESTS_ROOT_LAYER_MODEL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/image/testing/tar_builder.h"

namespace warren::image {

// What an image's tree is, by the plainest reading there is: one tree, to which
// the members of all layers are applied in order. It knows nothing of
// overlayfs, of layers that unpack alone, or of how they are completed. Its
// rules are those of ../../runtime/image/README.md, "What a layer may hold":
//   - a leading "/" or "./" means nothing; "/" itself is the root;
//   - links that this layer made are resolved in the parents of a member,
//     inside the root; the last part is replaced, never followed;
//   - links and files of layers below are in nobody's way: a directory takes
//     their place;
//   - a directory that is needed and not listed is the one that is there, or
//     0755 of root;
//   - a whiteout removes what layers below have, and nothing of its own layer;
//   - a directory over a directory keeps what is in it, everything else
//     replaces what was there;
//   - a hard link is to a file, of this layer or below. One that leads to
//     nothing, and is replaced in the same layer, is doubtful: refused or not.
class LayerModel {
 public:
  LayerModel();
  ~LayerModel();

  // Applies the members of the next layer. False: the image is to be refused,
  // and the tree is no longer of interest.
  bool Apply(const std::vector<testing::Member>& members);
  // It may be refused as well.
  bool IsDoubtful() const { return doubtful_; }

  // One line for each path: kind, owner, mode, attributes, content.
  std::map<std::string, std::string> Tree() const;

 private:
  struct File {
    // f file, l symlink, p FIFO, d directory, ! hard link to nothing
    char kind = 'f';
    uint32_t mode = 0;
    uint64_t uid = 0;
    uint64_t gid = 0;
    std::string data;  // or the target
    std::map<std::string, std::string> xattrs;
  };
  struct Node {
    std::shared_ptr<File> file;
    int layer = 0;    // the last one that made it or went through it
    int listed = -1;  // the last one that has a member for this directory
    std::map<std::string, std::unique_ptr<Node>> children;
  };
  using Parts = std::vector<std::string>;

  bool ApplyMember(const testing::Member& member);
  bool Whiteout(Node* parent, const testing::Member& member,
                const std::string& name);
  void Directory(Node* parent, const testing::Member& member,
                 const std::string& name);
  bool HardLink(Node* parent, const testing::Member& member, const Parts& own);
  std::optional<Parts> Resolve(const Parts& parts) const;
  Node* MakeParents(const Parts& parts);
  Node* Find(const Parts& parts) const;
  Node* FindOwn(const Parts& parts) const;
  void RemoveLower(Node* directory) const;
  std::unique_ptr<Node> NewDirectory() const;
  static void Describe(const Node& node, const std::string& path,
                       std::map<std::string, std::string>* tree);

  static bool HasBrokenLink(const Node& node);

  int layer_ = -1;
  bool doubtful_ = false;
  std::unique_ptr<Node> root_;
};

// A line of Tree().
std::string DescribeFile(char kind, uint32_t mode, uint64_t uid, uint64_t gid,
                         const std::string& data,
                         const std::map<std::string, std::string>& xattrs);

}  // namespace warren::image

#endif  // WARREN_TESTS_ROOT_LAYER_MODEL_H_
