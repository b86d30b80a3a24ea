// Random stacks of layers: what Warren makes of them, seen through a mounted
// overlay, against the plain model of layer_model.h.
//
// WARREN_LAYER_STACKS: how many (suites/layers.sh runs thousands).
// WARREN_LAYER_SEED: the first seed; each stack has the next one.

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>

#include "runtime/base/file.h"
#include "runtime/image/completion.h"
#include "runtime/image/unpack/inode.h"
#include "runtime/image/unpack/unpack_layer.h"
#include "tests/root/image_fixture.h"
#include "tests/root/layer_model.h"

namespace warren::image {
namespace {

using testing::Member;
using testing::TarBuilder;
using Tree = std::map<std::string, std::string>;
using Layers = std::vector<std::vector<Member>>;

// A few names, so that members meet; short targets, so that links lead
// somewhere.
class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  Layers Stack() {
    Layers layers(1 + Below(4));
    for (auto& layer : layers) {
      const size_t count = Below(9);
      for (size_t i = 0; i < count; ++i) layer.push_back(Any());
    }
    return layers;
  }

 private:
  size_t Below(size_t n) { return random_() % n; }
  std::string Name() { return std::string(1, "abcd"[Below(4)]); }
  std::string Path() {
    std::string path = Name();
    for (size_t depth = Below(3); depth > 0; --depth) path += "/" + Name();
    return path;
  }
  std::string Spelled(const std::string& path) {
    static const char* const kPrefixes[] = {"", "", "", "./", "/", "//", "/./"};
    return kPrefixes[Below(7)] + path;
  }
  std::string Target() {
    static const char* const kTargets[] = {
        "a",       "b",       "../b", "/c",    "c/d",   ".",   "..",
        "/",       "a/..",    "/a/b", "d/.",   "../..", "/b/", "a/",
        "../../d", "missing", "//d",  "./a/c", "/../c"};
    return kTargets[Below(19)];
  }
  Member Any() {
    Member member;
    member.mode =
        std::vector<uint32_t>{0755, 0700, 01777, 0644, 02711, 04755}[Below(6)];
    member.uid = std::vector<uint64_t>{0, 0, 5, 70000}[Below(4)];
    member.gid = std::vector<uint64_t>{0, 6}[Below(2)];
    const std::string path = Path();
    // Names of their own for most files, so that few are in the way as parents.
    const std::string file =
        Below(4) == 0 ? path : absl::StrCat(path, "/", Below(2) ? "f" : "g");
    member.name = Spelled(path);
    switch (Below(14)) {
      case 0:
      case 1:
      case 2:
        return Directory(member);
      case 3:
        member.type = '2';
        member.link = Target();
        return member;
      case 4:
        member.type = '1';
        member.name = Spelled(file);
        member.link = files_.empty() || Below(8) == 0
                          ? Spelled(Path())
                          : Spelled(files_[Below(files_.size())]);
        return member;
      case 5:
      case 6: {
        const size_t slash = path.rfind('/');
        const size_t at = slash == std::string::npos ? 0 : slash + 1;
        member.name = Spelled(path.substr(0, at) + ".wh." + path.substr(at));
        return member;
      }
      case 7:
        member.name = Spelled(path + "/.wh..wh..opq");
        return member;
      case 8:
        member.type = '6';
        member.mode &= 0777;  // a change of owner clears the rest
        member.name = Spelled(file);
        files_.push_back(file);
        return member;
      default:
        member.name = Spelled(file);
        files_.push_back(file);
        member.data = absl::StrCat("data ", ++serial_);
        return member;
    }
  }
  Member Directory(Member member) {
    member.type = '5';
    if (Below(8) == 0) {
      member.name = std::vector<std::string>{"/", ".", "./", "//"}[Below(4)];
    } else if (Below(2) == 0) {
      member.name += "/";
    }
    if (Below(4) == 0) {
      member.pax = {{absl::StrCat("SCHILY.xattr.user.", Name()),
                     absl::StrCat(++serial_)}};
    }
    return member;
  }

  std::mt19937 random_;
  std::vector<std::string> files_;  // so far, in all layers
  int serial_ = 0;
};

std::string TarOf(const std::vector<Member>& layer) {
  TarBuilder tar;
  for (const Member& member : layer) tar.Add(member);
  return tar.Build();
}

// For the message of a failure: what to look at.
std::string Listing(const Layers& layers) {
  std::string text;
  for (size_t i = 0; i < layers.size(); ++i) {
    absl::StrAppend(&text, "layer ", i + 1, ":\n");
    for (const Member& m : layers[i]) {
      absl::StrAppend(&text, "  ", std::string(1, m.type), " ", m.name,
                      m.link.empty() ? "" : " -> ", m.link, " ", m.uid, ":",
                      m.gid, " ", absl::Hex(m.mode), "\n");
    }
  }
  return text;
}

class ImageStacks : public ImageStoreTest {
 protected:
  void SetUp() override {
    ImageStoreTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    Reopen();
    for (const char* name : {"-merged", "-none", "-stack"}) {
      ASSERT_EQ(mkdir((root() + name).c_str(), 0755), 0);
    }
    old_umask_ = umask(0);
  }
  void TearDown() override {
    umask(old_umask_);
    ImageStoreTest::TearDown();
  }

  // Layers unpacked and completed in this process, as a sanitizer sees them.
  absl::StatusOr<std::vector<std::string>> Compose(const Layers& layers);
  // The same by an import.
  absl::StatusOr<std::vector<std::string>> ImportStack(const Layers& layers);
  // The tree of an overlay of these directories.
  Tree MountedTree(const std::vector<std::string>& lowest_first);

 private:
  mode_t old_umask_ = 022;
};

absl::StatusOr<StackedLayer> UnpackHere(const std::string& tar,
                                        const std::string& path) {
  const auto blob = base::SealedMemfd("layer", tar, false);
  if (!blob.ok()) return blob.status();
  if (mkdir(path.c_str(), 0700) != 0) return absl::InternalError(path);
  auto root = base::OpenAt(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
  if (!root.ok()) return root.status();
  const auto unpacked =
      UnpackLayer(blob->get(), Compression::kNone, root->get(), {1 << 20, 999});
  if (!unpacked.ok()) return unpacked.status();
  auto leanings = Leanings::Decode(unpacked->leanings);
  if (!leanings.ok()) return leanings.status();
  return StackedLayer{*std::move(root),
                      std::make_shared<const Leanings>(*std::move(leanings))};
}

absl::StatusOr<std::vector<std::string>> ImageStacks::Compose(
    const Layers& layers) {
  const std::string top = root() + "-stack/";
  std::vector<StackedLayer> stack;
  std::vector<std::string> directories;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string path = absl::StrCat(top, i);
    auto layer = UnpackHere(TarOf(layers[i]), path);
    if (!layer.ok()) return layer.status();
    // An opaque root: LayerDirectories in image_table.h.
    if (IsOpaque(layer->directory.get())) directories.clear();
    stack.push_back(*std::move(layer));
    directories.push_back(path);
  }
  const LayerStack layer_stack(std::move(stack));
  const auto completion = PlanCompletion(layer_stack);
  if (!completion.ok()) return completion.status();
  if (completion->empty()) return directories;
  directories.push_back(top + "completion");
  if (mkdir(directories.back().c_str(), 0700) != 0) {
    return absl::InternalError("mkdir");
  }
  const auto target =
      base::OpenAt(AT_FDCWD, directories.back(), O_RDONLY | O_DIRECTORY);
  if (!target.ok()) return target.status();
  const auto made = MakeCompletion(layer_stack, *completion, target->get());
  if (!made.ok()) return made.status();
  return directories;
}

absl::StatusOr<std::vector<std::string>> ImageStacks::ImportStack(
    const Layers& layers) {
  testing::LayoutSource source;
  for (const auto& layer : layers) {
    source.layers.push_back({TarOf(layer), Compression::kNone});
  }
  const auto image = Import(source);
  if (!image.ok()) return image.status();
  return (*image)->layer_dirs;
}

std::string DescribeAt(int directory, const std::string& name) {
  struct stat st = {};
  EXPECT_EQ(fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW), 0);
  std::string data;
  std::map<std::string, std::string> xattrs;
  char kind = 'p';
  if (S_ISLNK(st.st_mode)) {
    kind = 'l';
    data = *ReadLinkAt(directory, name);
  } else if (S_ISREG(st.st_mode)) {
    kind = 'f';
    data = *base::ReadFileAt(directory, name);
  } else if (S_ISDIR(st.st_mode)) {
    kind = 'd';
    const auto fd = base::OpenAt(directory, name, O_RDONLY | O_DIRECTORY);
    for (const char* letter : {"a", "b", "c", "d"}) {
      char value[64];
      const std::string xattr = absl::StrCat("user.", letter);
      const ssize_t n =
          fgetxattr(fd->get(), xattr.c_str(), value, sizeof(value));
      if (n >= 0) xattrs[xattr] = std::string(value, static_cast<size_t>(n));
    }
  } else if (!S_ISFIFO(st.st_mode)) {
    kind = '?';
  }
  return DescribeFile(kind, st.st_mode & 07777, st.st_uid, st.st_gid, data,
                      xattrs);
}

void ReadTree(int directory, const std::string& path, Tree* tree) {
  (*tree)[path] = DescribeAt(directory, ".");
  const auto names = base::ListDir(directory, ".");
  ASSERT_TRUE(names.ok()) << names.status();
  for (const std::string& name : *names) {
    struct stat st;
    // overlayfs lists a whiteout in a directory of one layer alone, though
    // nothing is there (fs/overlayfs/readdir.c, ovl_dir_is_real).
    if (fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 &&
        errno == ENOENT) {
      continue;
    }
    const std::string below = absl::StrCat(path, "/", name);
    const std::string line = DescribeAt(directory, name);
    (*tree)[below] = line;
    if (line[0] != 'd') continue;
    const auto fd = base::OpenAt(directory, name, O_RDONLY | O_DIRECTORY);
    ReadTree(fd->get(), below, tree);
  }
}

Tree ImageStacks::MountedTree(const std::vector<std::string>& lowest_first) {
  std::vector<std::string> lower = lowest_first;
  lower.insert(lower.begin(), root() + "-none");  // a mount needs two
  std::reverse(lower.begin(), lower.end());
  const std::string merged = root() + "-merged";
  const std::string options =
      absl::StrCat("userxattr,lowerdir=", absl::StrJoin(lower, ":"));
  Tree tree;
  EXPECT_EQ(
      mount("overlay", merged.c_str(), "overlay", MS_RDONLY, options.c_str()),
      0)
      << strerror(errno);
  {
    const auto fd = base::OpenAt(AT_FDCWD, merged, O_RDONLY | O_DIRECTORY);
    ReadTree(fd->get(), "", &tree);
  }
  EXPECT_EQ(umount2(merged.c_str(), 0), 0) << strerror(errno);
  return tree;
}

uint32_t Number(const char* name, uint32_t fallback) {
  const char* text = getenv(name);
  uint32_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : fallback;
}

// The differences alone.
std::string Differences(const Tree& ours, const Tree& wanted) {
  std::string text;
  for (const auto& [path, line] : wanted) {
    const auto it = ours.find(path);
    const std::string other = it == ours.end() ? "missing" : it->second;
    if (other != line) {
      absl::StrAppend(&text, "\"", path, "\": ", other, ", not ", line, "\n");
    }
  }
  for (const auto& [path, line] : ours) {
    if (wanted.count(path) == 0) {
      absl::StrAppend(&text, "\"", path, "\": ", line, ", not there\n");
    }
  }
  return text;
}

TEST_F(ImageStacks, IMG_2_RandomStacksAreWhatAPlainReaderSees) {
  const uint32_t stacks = Number("WARREN_LAYER_STACKS", 300);
  const uint32_t first = Number("WARREN_LAYER_SEED", 1);
  std::cout << "seeds " << first << " to " << first + stacks - 1 << "\n";
  uint32_t refused = 0;
  uint32_t completed = 0;
  for (uint32_t i = 0; i < stacks && !HasFailure(); ++i) {
    const Layers layers = Generator(first + i).Stack();
    const std::string what =
        absl::StrCat("WARREN_LAYER_SEED=", first + i, "\n", Listing(layers));
    LayerModel model;
    const bool good =
        std::all_of(layers.begin(), layers.end(),
                    [&](const auto& layer) { return model.Apply(layer); });
    refused += good ? 0 : 1;
    // Every tenth through the real helper and the store.
    const auto directories =
        i % 10 == 0 ? ImportStack(layers) : Compose(layers);
    if (good && (directories.ok() || !model.IsDoubtful())) {
      ASSERT_TRUE(directories.ok()) << directories.status() << "\n" << what;
      completed += directories->size() > layers.size() ? 1 : 0;
      EXPECT_EQ(Differences(MountedTree(*directories), model.Tree()), "")
          << what;
    } else {
      EXPECT_TRUE(absl::IsInvalidArgument(directories.status()))
          << directories.status() << "\n"
          << what;
    }
    EXPECT_TRUE(base::RemoveTree(AT_FDCWD, root() + "-stack").ok());
    ASSERT_EQ(mkdir((root() + "-stack").c_str(), 0755), 0);
  }
  std::cout << refused << " refused, " << completed << " completed\n";
  if (stacks >= 300) {
    EXPECT_GT(stacks - refused, stacks / 3);
    EXPECT_GT(completed, stacks / 20);
  }
}

}  // namespace
}  // namespace warren::image
