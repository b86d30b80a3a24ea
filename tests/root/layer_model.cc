#include "tests/root/layer_model.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <utility>

namespace warren::image {
namespace {

// "" and "." parts mean nothing; nothing for a path with "..".
std::optional<std::vector<std::string>> PartsOf(const std::string& path) {
  std::vector<std::string> parts;
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part == "..") return std::nullopt;
    if (!part.empty() && part != ".") parts.emplace_back(part);
  }
  return parts;
}

bool IsBelow(const std::vector<std::string>& path,
             const std::vector<std::string>& directory) {
  return path.size() >= directory.size() &&
         std::equal(directory.begin(), directory.end(), path.begin());
}

}  // namespace

std::string DescribeFile(char kind, uint32_t mode, uint64_t uid, uint64_t gid,
                         const std::string& data,
                         const std::map<std::string, std::string>& xattrs) {
  std::string line = absl::StrCat(std::string(1, kind), " ", uid, ":", gid);
  if (kind != 'l') absl::StrAppend(&line, " ", absl::Hex(mode));
  for (const auto& [name, value] : xattrs) {
    absl::StrAppend(&line, " ", name, "=", value);
  }
  return data.empty() ? line : absl::StrCat(line, " \"", data, "\"");
}

LayerModel::LayerModel() : root_(NewDirectory()) {}
LayerModel::~LayerModel() = default;

std::unique_ptr<LayerModel::Node> LayerModel::NewDirectory() const {
  auto node = std::make_unique<Node>();
  node->file = std::make_shared<File>();
  node->file->kind = 'd';
  node->file->mode = 0755;
  node->layer = layer_;
  return node;
}

bool LayerModel::Apply(const std::vector<testing::Member>& members) {
  ++layer_;
  root_->layer = layer_;
  return std::all_of(members.begin(), members.end(),
                     [this](const testing::Member& member) {
                       return ApplyMember(member);
                     }) &&
         !HasBrokenLink(*root_);
}

bool LayerModel::HasBrokenLink(const Node& node) {
  return node.file->kind == '!' ||
         std::any_of(
             node.children.begin(), node.children.end(),
             [](const auto& child) { return HasBrokenLink(*child.second); });
}

LayerModel::Node* LayerModel::Find(const Parts& parts) const {
  Node* node = root_.get();
  for (const std::string& part : parts) {
    const auto it = node->children.find(part);
    if (it == node->children.end()) return nullptr;
    node = it->second.get();
  }
  return node;
}

LayerModel::Node* LayerModel::FindOwn(const Parts& parts) const {
  Node* node = Find(parts);
  return node != nullptr && node->layer == layer_ ? node : nullptr;
}

std::optional<LayerModel::Parts> LayerModel::Resolve(const Parts& parts) const {
  Parts todo(parts.rbegin(), parts.rend());
  Parts at;
  int links = 0;
  while (!todo.empty()) {
    const std::string name = todo.back();
    todo.pop_back();
    if (name == "." || name.empty()) continue;
    if (name == "..") {
      if (!at.empty()) at.pop_back();
      continue;
    }
    at.push_back(name);
    const Node* node = FindOwn(at);
    if (node == nullptr || node->file->kind == 'd') continue;
    if (node->file->kind != 'l' || ++links > 40) return std::nullopt;
    at.pop_back();
    const std::string& target = node->file->data;
    if (absl::StartsWith(target, "/")) at.clear();
    const Parts more = absl::StrSplit(target, '/');
    todo.insert(todo.end(), more.rbegin(), more.rend());
  }
  return at;
}

LayerModel::Node* LayerModel::MakeParents(const Parts& parts) {
  Node* node = root_.get();
  for (const std::string& part : parts) {
    std::unique_ptr<Node>& child = node->children[part];
    if (child == nullptr || child->file->kind != 'd') child = NewDirectory();
    child->layer = layer_;
    node = child.get();
  }
  return node;
}

// What is below `directory` and not of this layer goes; what is of this layer
// and not listed loses what it had from there.
void LayerModel::RemoveLower(Node* directory) const {
  for (auto it = directory->children.begin();
       it != directory->children.end();) {
    Node* child = it->second.get();
    if (child->layer != layer_) {
      it = directory->children.erase(it);
      continue;
    }
    if (child->file->kind == 'd') {
      if (child->listed != layer_) child->file = NewDirectory()->file;
      RemoveLower(child);
    }
    ++it;
  }
}

bool LayerModel::Whiteout(Node* parent, const testing::Member& member,
                          const std::string& name) {
  if (member.type != '0') return false;
  if (name == ".wh..wh..opq") {
    RemoveLower(parent);
    return true;
  }
  const auto it = parent->children.find(name.substr(4));
  if (it == parent->children.end()) return true;
  Node* node = it->second.get();
  if (node->layer != layer_) {
    parent->children.erase(it);
  } else if (node->file->kind == 'd') {
    if (node->listed != layer_) node->file = NewDirectory()->file;
    RemoveLower(node);
  }
  return true;
}

void LayerModel::Directory(Node* parent, const testing::Member& member,
                           const std::string& name) {
  Node* node = parent;
  if (!name.empty()) {
    std::unique_ptr<Node>& child = parent->children[name];
    if (child == nullptr || child->file->kind != 'd') child = NewDirectory();
    node = child.get();
  }
  auto file = std::make_shared<File>();
  // Attributes of a second member for it are added to those of the first.
  if (node->listed == layer_) file->xattrs = node->file->xattrs;
  file->kind = 'd';
  file->mode = member.mode;
  file->uid = member.uid;
  file->gid = member.gid;
  for (const auto& [key, value] : member.pax) {
    file->xattrs[key.substr(std::string("SCHILY.xattr.").size())] = value;
  }
  node->file = std::move(file);
  node->layer = node->listed = layer_;
}

bool LayerModel::HardLink(Node* parent, const testing::Member& member,
                          const Parts& own) {
  auto target = PartsOf(member.link);
  if (!target.has_value() || target->empty()) return false;
  const std::string name = target->back();
  target->pop_back();
  auto path = Resolve(*target);
  if (!path.has_value()) return false;
  path->push_back(name);
  if (IsBelow(*path, own)) return false;
  const Node* found = Find(*path);
  const bool broken = found == nullptr || found->file->kind == 'd';
  if (broken && found != nullptr && found->layer == layer_) return false;
  auto node = std::make_unique<Node>();
  node->file = broken ? std::make_shared<File>() : found->file;
  if (broken) {
    node->file->kind = '!';
    doubtful_ = true;
  }
  node->layer = layer_;
  parent->children[own.back()] = std::move(node);
  return true;
}

bool LayerModel::ApplyMember(const testing::Member& member) {
  auto parts = PartsOf(member.name);
  if (!parts.has_value()) return false;
  if (parts->empty()) {
    if (member.type != '5') return false;
    Directory(root_.get(), member, "");
    return true;
  }
  const std::string name = parts->back();
  parts->pop_back();
  auto own = Resolve(*parts);
  if (!own.has_value()) return false;
  Node* parent = MakeParents(*own);
  if (absl::StartsWith(name, ".wh.")) return Whiteout(parent, member, name);
  if (member.type == '5') {
    Directory(parent, member, name);
    return true;
  }
  own->push_back(name);
  if (member.type == '1') return HardLink(parent, member, *own);
  auto node = std::make_unique<Node>();
  node->layer = layer_;
  node->file = std::make_shared<File>();
  node->file->kind = member.type == '2' ? 'l' : member.type == '6' ? 'p' : 'f';
  node->file->mode = member.mode;
  node->file->uid = member.uid;
  node->file->gid = member.gid;
  node->file->data = member.type == '2' ? member.link : member.data;
  parent->children[name] = std::move(node);
  return true;
}

void LayerModel::Describe(const Node& node, const std::string& path,
                          std::map<std::string, std::string>* tree) {
  const File& file = *node.file;
  (*tree)[path] = DescribeFile(file.kind, file.mode, file.uid, file.gid,
                               file.data, file.xattrs);
  for (const auto& [name, child] : node.children) {
    Describe(*child, absl::StrCat(path, "/", name), tree);
  }
}

std::map<std::string, std::string> LayerModel::Tree() const {
  std::map<std::string, std::string> tree;
  Describe(*root_, "", &tree);
  return tree;
}

}  // namespace warren::image
