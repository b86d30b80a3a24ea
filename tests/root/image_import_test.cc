// What goes in comes out: each compression, each dialect, names, sizes.

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <thread>
#include <vector>

#include "runtime/base/file.h"
#include "tests/root/image_fixture.h"

namespace warren::image {
namespace {

using ::testing::ElementsAre;
using testing::Json;
using testing::LayoutSource;
using testing::TarBuilder;

class ImageImport : public ImageStoreTest {};

std::string ReadFile(const std::string& path) {
  const auto data = base::ReadFileAt(AT_FDCWD, path);
  return data.ok() ? *data : std::string(data.status().message());
}

TEST_F(ImageImport, EachCompression) {
  for (const Compression compression :
       {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    const int n = static_cast<int>(compression);
    const std::string content = absl::StrCat("content ", n);
    const auto image = Import(SmallImage(content, compression),
                              absl::StrCat("test/image:", n));
    ASSERT_TRUE(image.ok()) << image.status();
    ASSERT_EQ((*image)->layer_dirs.size(), 1u);
    EXPECT_EQ(ReadFile((*image)->layer_dirs[0] + "/file"), content);
    EXPECT_THAT((*image)->repo_tags,
                ElementsAre(absl::StrCat("docker.io/test/image:", n)));
    EXPECT_GT((*image)->size_bytes, 0u);
  }
  EXPECT_EQ(store().List().size(), 3u);
}

TEST_F(ImageImport, AnyChunkSize) {
  const std::string archive = testing::BuildLayout(SmallImage("x"));
  for (const size_t chunk :
       {size_t{1}, size_t{511}, size_t{513}, archive.size()}) {
    const auto image = Import(archive, "test/image:1", chunk);
    ASSERT_TRUE(image.ok()) << chunk << ": " << image.status();
  }
  EXPECT_EQ(store().List().size(), 1u);
}

TEST_F(ImageImport, ConfigurationIsShown) {
  LayoutSource source = SmallImage("x");
  source.process = {{"User", "app:1000"},
                    {"Env", {"A=1", "B=x=y"}},
                    {"Entrypoint", {"/entry"}},
                    {"Cmd", {"a", "b"}},
                    {"WorkingDir", "/work"},
                    {"StopSignal", "SIGQUIT"},
                    {"Volumes", {{"/data", Json::object()}}}};
  const auto image = Import(source);
  ASSERT_TRUE(image.ok()) << image.status();
  const ImageConfig& config = (*image)->config;
  EXPECT_EQ(config.user, "app:1000");
  EXPECT_THAT(config.env, ElementsAre("A=1", "B=x=y"));
  EXPECT_THAT(config.entrypoint, ElementsAre("/entry"));
  EXPECT_THAT(config.cmd, ElementsAre("a", "b"));
  EXPECT_EQ(config.working_dir, "/work");
  EXPECT_EQ(config.stop_signal, "SIGQUIT");
  EXPECT_THAT(config.volumes, ElementsAre("/data"));
  EXPECT_EQ((*image)->id, Digest::Of((*image)->config_json).ToString());
}

TEST_F(ImageImport, NamesResolveToTheSameImage) {
  const LayoutSource source = SmallImage("x");
  const auto image = Import(source, "busybox");
  ASSERT_TRUE(image.ok()) << image.status();
  const std::string id = (*image)->id;
  const std::string digest = testing::ManifestDigest(source);
  EXPECT_THAT((*image)->repo_tags,
              ElementsAre("docker.io/library/busybox:latest"));
  EXPECT_THAT((*image)->repo_digests,
              ElementsAre("docker.io/library/busybox@" + digest));
  for (const std::string& name :
       {id, id.substr(7), id.substr(7, 12), "sha256:" + id.substr(7, 12),
        std::string("busybox"), std::string("busybox:latest"),
        std::string("docker.io/library/busybox"), "busybox@" + digest,
        "busybox:other@" + digest}) {
    const auto found = store().Find(name);
    ASSERT_TRUE(found.ok()) << name << ": " << found.status();
    EXPECT_EQ((*found)->id, id);
  }
  for (const std::string& name :
       {std::string("busybox:1"), std::string("other"), std::string(64, '0'),
        "sha256:" + std::string(64, '0'), "other@" + digest}) {
    EXPECT_TRUE(absl::IsNotFound(store().Find(name).status())) << name;
  }
  for (const std::string& name :
       {std::string(), std::string("A"), std::string("sha256:"),
        std::string("bad name"), std::string(300, 'z')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(store().Find(name).status())) << name;
  }
}

TEST_F(ImageImport, AmbiguousPrefix) {
  std::vector<std::string> ids;
  for (int i = 0; i < 17; ++i) {
    const auto image =
        Import(SmallImage(absl::StrCat(i)), absl::StrCat("test/image:", i));
    ASSERT_TRUE(image.ok()) << image.status();
    ids.push_back((*image)->id);
  }
  // Seventeen ids, sixteen first digits.
  bool ambiguous = false;
  for (const char digit : std::string("0123456789abcdef")) {
    const auto found = store().Find(std::string(1, digit));
    ambiguous = ambiguous || absl::IsInvalidArgument(found.status());
  }
  EXPECT_TRUE(ambiguous);
}

TEST_F(ImageImport, TagMovesToTheNewImage) {
  const auto first = Import(SmallImage("1"), "app:v");
  const auto second = Import(SmallImage("2"), "app:v");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ((*store().Find("app:v"))->id, (*second)->id);
  const auto old = store().Find((*first)->id);
  ASSERT_TRUE(old.ok());
  EXPECT_THAT((*old)->repo_tags, ElementsAre());
  EXPECT_EQ((*old)->repo_digests.size(), 1u);
}

TEST_F(ImageImport, OneImageWithSeveralNamesAndManifests) {
  const auto first = Import(SmallImage("1", Compression::kGzip), "app:v");
  const auto second = Import(SmallImage("1", Compression::kZstd), "b/app:v");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ((*first)->id, (*second)->id);
  EXPECT_EQ(store().List().size(), 1u);
  EXPECT_EQ((*second)->repo_tags.size(), 2u);
  EXPECT_EQ((*second)->repo_digests.size(), 2u);
  ASSERT_TRUE(store().Remove("app:v").ok());
  EXPECT_TRUE(store().List().empty());
}

TEST_F(ImageImport, ByDigest) {
  const LayoutSource source = SmallImage("x");
  const std::string digest = testing::ManifestDigest(source);
  const auto image = Import(source, "app@" + digest);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_THAT((*image)->repo_tags, ElementsAre());
  EXPECT_EQ((*store().Find("app@" + digest))->id, (*image)->id);
}

TEST_F(ImageImport, IndexOfPlatforms) {
  LayoutSource source = SmallImage("x");
  // index.json -> index -> {foreign manifest, attestation, ours}.
  source.files = [](std::map<std::string, std::string>* files) {
    Json index = Json::parse(files->at("index.json"));
    Json ours = index["manifests"][0];
    ours["platform"] = {{"os", "linux"},
                        {"architecture", NodePlatform().architecture}};
    Json foreign = ours;
    foreign["digest"] = Digest::Of("foreign").ToString();
    foreign["platform"] = {{"os", "linux"}, {"architecture", "s390x"}};
    Json attestation = foreign;
    attestation["platform"] = {{"os", "unknown"}, {"architecture", "unknown"}};
    const Json inner = {
        {"schemaVersion", 2},
        {"mediaType", "application/vnd.oci.image.index.v1+json"},
        {"manifests", {foreign, attestation, ours}}};
    const std::string text = inner.dump();
    (*files)[testing::BlobPath(text)] = text;
    index["manifests"] = {testing::MakeDescriptor(
        "application/vnd.oci.image.index.v1+json", text)};
    (*files)["index.json"] = index.dump();
  };
  const auto image = Import(source);
  ASSERT_TRUE(image.ok()) << image.status();
}

TEST_F(ImageImport, SeveralImagesAreChosenByName) {
  LayoutSource source = SmallImage("x");
  source.files = [](std::map<std::string, std::string>* files) {
    Json index = Json::parse(files->at("index.json"));
    Json named = index["manifests"][0];
    named["annotations"] = {{"org.opencontainers.image.ref.name", "1"}};
    Json other = named;
    other["digest"] = Digest::Of("other").ToString();
    other["annotations"] = {{"org.opencontainers.image.ref.name", "2"}};
    index["manifests"] = {other, named};
    (*files)["index.json"] = index.dump();
  };
  EXPECT_TRUE(Import(source, "test/image:1").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Import(source, "test/image:3").status()));
}

TEST_F(ImageImport, TwoAtOnceShareALayer) {
  std::string big(8 << 20, 'x');
  for (size_t i = 0; i < big.size(); i += 37) {
    big[i] = static_cast<char>(i / 37 * 2654435761u >> 13);
  }
  const std::string shared = TarBuilder().File("big", big).Build();
  LayoutSource source;
  source.layers = {{shared, Compression::kGzip}};
  std::vector<std::string> archives;
  for (const char* own : {"a", "b", "c", "d"}) {
    source.layers.resize(1);
    source.layers.push_back(
        {TarBuilder().File("own", own).Build(), Compression::kZstd});
    archives.push_back(testing::BuildLayout(source));
  }
  std::vector<absl::Status> results(archives.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < archives.size(); ++i) {
    threads.emplace_back([&, i] {
      results[i] =
          Import(archives[i], absl::StrCat("test/parallel:", i)).status();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& result : results) EXPECT_TRUE(result.ok()) << result;
  const auto layers = base::ListDir(AT_FDCWD, root() + "/layers");
  ASSERT_TRUE(layers.ok());
  EXPECT_EQ(layers->size(), 1 + archives.size());
  EXPECT_EQ(store().List().size(), archives.size());
}

TEST_F(ImageImport, UsageGrowsAndShrinks) {
  const auto before = store().Usage();
  ASSERT_TRUE(before.ok());
  ASSERT_TRUE(Import(SmallImage(std::string(1 << 20, 'x'))).ok());
  const auto full = store().Usage();
  ASSERT_TRUE(full.ok());
  EXPECT_GE(full->used_bytes, before->used_bytes + (1 << 20));
  EXPECT_GT(full->inodes_used, before->inodes_used);
  struct stat st;
  EXPECT_EQ(stat(full->mountpoint.c_str(), &st), 0);
  ASSERT_TRUE(store().Remove("test/image:1").ok());
  const auto after = store().Usage();
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->used_bytes, before->used_bytes);
  EXPECT_EQ(after->inodes_used, before->inodes_used);
}

TEST_F(ImageImport, FS_9_FoldersAreRootsAlone) {
  ASSERT_TRUE(Import(SmallImage("x")).ok());
  for (const char* directory :
       {"", "/blobs", "/blobs/sha256", "/layers", "/tmp"}) {
    struct stat st;
    ASSERT_EQ(stat((root() + directory).c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0700u) << directory;
    EXPECT_EQ(st.st_uid, 0u);
  }
  for (const auto& [path, what] : Ledger()) {
    if (path.rfind("blobs/sha256/", 0) == 0 || path == "refs.json") {
      EXPECT_EQ(what.rfind("8180 0 0", 0), 0u) << path << " " << what;
    }
  }
}

}  // namespace
}  // namespace warren::image
