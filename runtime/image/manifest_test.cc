#include "runtime/image/manifest.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace warren::image {
namespace {

using ::testing::HasSubstr;

constexpr char kOci[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kDocker[] =
    "application/vnd.docker.distribution.manifest.v2+json";
constexpr char kOciIndex[] = "application/vnd.oci.image.index.v1+json";

std::string D(const std::string& of) { return Digest::Of(of).ToString(); }

std::string DescriptorText(const std::string& type, const std::string& of,
                           const std::string& more = "") {
  return absl::StrCat(R"({"mediaType":")", type, R"(","digest":")", D(of),
                      R"(","size":3)", more, "}");
}

std::string ManifestText(const std::string& config_type,
                         const std::string& layer_type,
                         const std::string& more = "") {
  return absl::StrCat(R"({"schemaVersion":2,"config":)",
                      DescriptorText(config_type, "config"), R"(,"layers":[)",
                      DescriptorText(layer_type, "layer"), "]", more, "}");
}

TEST(Manifest, BothFamilies) {
  const auto oci =
      ParseManifest(ManifestText("application/vnd.oci.image.config.v1+json",
                                 "application/vnd.oci.image.layer.v1.tar+zstd"),
                    kOci);
  ASSERT_TRUE(oci.ok()) << oci.status();
  EXPECT_EQ(oci->config.digest, Digest::Of("config"));
  ASSERT_EQ(oci->layers.size(), 1u);
  EXPECT_EQ(oci->layers[0].size, 3u);
  EXPECT_TRUE(
      ParseManifest(
          ManifestText("application/vnd.docker.container.image.v1+json",
                       "application/vnd.docker.image.rootfs.diff.tar.gzip",
                       absl::StrCat(R"(,"mediaType":")", kDocker, "\"")),
          kDocker)
          .ok());
}

TEST(Manifest, LayerTypes) {
  EXPECT_EQ(*LayerCompression("application/vnd.oci.image.layer.v1.tar"),
            Compression::kNone);
  EXPECT_EQ(*LayerCompression("application/vnd.oci.image.layer.v1.tar+gzip"),
            Compression::kGzip);
  EXPECT_EQ(*LayerCompression("application/vnd.oci.image.layer.v1.tar+zstd"),
            Compression::kZstd);
  EXPECT_EQ(
      *LayerCompression("application/vnd.docker.image.rootfs.diff.tar.gzip"),
      Compression::kGzip);
  for (const char* bad :
       {"", "application/gzip", "application/vnd.oci.image.layer.v1.tar+br",
        "application/vnd.oci.image.config.v1+json"}) {
    EXPECT_FALSE(LayerCompression(bad).ok()) << bad;
  }
}

TEST(Manifest, IMG_4_MediaTypeMustMatch) {
  const std::string text =
      ManifestText("application/vnd.oci.image.config.v1+json",
                   "application/vnd.oci.image.layer.v1.tar",
                   absl::StrCat(R"(,"mediaType":")", kOci, "\""));
  EXPECT_TRUE(ParseManifest(text, kOci).ok());
  EXPECT_TRUE(ParseManifest(text, "").ok());
  EXPECT_FALSE(ParseManifest(text, kDocker).ok());
  EXPECT_FALSE(ParseIndex(text, "").ok());
}

TEST(Manifest, IMG_4_AmbiguousDocuments) {
  for (const char* key : {"manifests", "MANIFESTS", "fsLayers", "history",
                          "Config", "lAyers", "MediaType"}) {
    EXPECT_FALSE(
        ParseManifest(ManifestText("application/vnd.oci.image.config.v1+json",
                                   "application/vnd.oci.image.layer.v1.tar",
                                   absl::StrCat(",\"", key, "\":[]")),
                      kOci)
            .ok())
        << key;
  }
  for (const char* key : {"layers", "config", "Layers", "fsLayers"}) {
    EXPECT_FALSE(
        ParseIndex(absl::StrCat(R"({"schemaVersion":2,"manifests":[],")", key,
                                "\":[]}"),
                   "")
            .ok())
        << key;
  }
}

TEST(Manifest, ErrorsDoNotEchoTheInput) {
  const auto manifest = ParseManifest(
      R"({"schemaVersion":2,"config":{"mediaType":"EVIL","digest":"EVIL"}})",
      kOci);
  ASSERT_FALSE(manifest.ok());
  EXPECT_THAT(std::string(manifest.status().message()),
              ::testing::Not(HasSubstr("EVIL")));
}

TEST(Config, NullsAreEmpty) {
  const auto config = ParseConfig(absl::StrCat(
      R"({"config":{"Env":null,"Cmd":null,"Volumes":null,"User":null},)",
      R"("rootfs":{"type":"layers","diff_ids":[")", D("a"), R"("]}})"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->config.env.empty());
  EXPECT_EQ(config->diff_ids.size(), 1u);
}

TEST(Config, WithoutProcess) {
  EXPECT_TRUE(
      ParseConfig(R"({"rootfs":{"type":"layers","diff_ids":[]}})").ok());
  EXPECT_FALSE(ParseConfig(R"({"rootfs":{"diff_ids":[]}})").ok());
  EXPECT_FALSE(ParseConfig(R"({"config":[],"rootfs":{"type":"layers"}})").ok());
}

std::string PlatformText(const std::string& arch, const std::string& variant) {
  return absl::StrCat(R"(,"platform":{"os":"linux","architecture":")", arch,
                      R"(","variant":")", variant, "\"}");
}

Index IndexOf(const std::vector<std::string>& descriptors) {
  std::string list;
  for (const std::string& text : descriptors) {
    absl::StrAppend(&list, list.empty() ? "" : ",", text);
  }
  const auto index = ParseIndex(
      absl::StrCat(R"({"schemaVersion":2,"manifests":[)", list, "]}"), "");
  EXPECT_TRUE(index.ok()) << index.status();
  return *index;
}

TEST(SelectManifest, ByPlatform) {
  const std::string arch = NodePlatform().architecture;
  const Index index = IndexOf({
      DescriptorText(kOci, "foreign", PlatformText("s390x", "")),
      DescriptorText(kOci, "newer", PlatformText(arch, "v9")),
      DescriptorText("application/octet-stream", "odd", PlatformText(arch, "")),
      DescriptorText(kOci, "ours", PlatformText(arch, NodePlatform().variant)),
      DescriptorText(kOci, "second", PlatformText(arch, "")),
  });
  const auto first = SelectManifest(index, {}, true);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->digest, Digest::Of("ours"));
  EXPECT_FALSE(SelectManifest(index, {}, false).ok());
  EXPECT_FALSE(SelectManifest(Index(), {}, true).ok());
}

TEST(SelectManifest, ByName) {
  const auto named = [](const std::string& of, const std::string& name) {
    return DescriptorText(
        kOci, of,
        absl::StrCat(R"(,"annotations":{"org.opencontainers.image.ref.name":")",
                     name, "\"}"));
  };
  const Index index =
      IndexOf({named("a", "v1"), named("b", "v2"),
               DescriptorText(kOciIndex, "c"), named("b", "again")});
  EXPECT_EQ(SelectManifest(index, {"v2"}, false)->digest, Digest::Of("b"));
  EXPECT_EQ(SelectManifest(index, {"v2", "again"}, false)->digest,
            Digest::Of("b"));
  EXPECT_FALSE(SelectManifest(index, {"v1", "v2"}, false).ok());
  EXPECT_FALSE(SelectManifest(index, {"v3"}, false).ok());
  // One image under two names is one image.
  EXPECT_TRUE(
      SelectManifest(IndexOf({named("a", "x"), named("a", "y")}), {}, false)
          .ok());
}

}  // namespace
}  // namespace warren::image
