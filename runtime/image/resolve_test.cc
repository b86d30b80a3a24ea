#include "runtime/image/resolve.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace warren::image {
namespace {

using ::testing::HasSubstr;
using JsonText = nlohmann::json;

constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kIndexType[] = "application/vnd.oci.image.index.v1+json";
constexpr char kConfigType[] = "application/vnd.oci.image.config.v1+json";
constexpr char kLayerType[] = "application/vnd.oci.image.layer.v1.tar+gzip";

// Documents by digest, and descriptors of them.
class Resolve : public ::testing::Test {
 protected:
  JsonText Put(const std::string& type, const std::string& text) {
    documents_[Digest::Of(text).ToString()] = text;
    return {{"mediaType", type},
            {"digest", Digest::Of(text).ToString()},
            {"size", text.size()}};
  }
  // An image whose configuration has this platform.
  JsonText Image(const std::string& name, const std::string& arch,
                 const std::string& os = "linux",
                 const std::string& variant = "") {
    JsonText config = {
        {"os", os},
        {"architecture", arch},
        {"author", name},
        {"rootfs",
         {{"type", "layers"}, {"diff_ids", {Digest::Of(name).ToString()}}}}};
    if (!variant.empty()) config["variant"] = variant;
    return ManifestOf(kConfigType, config.dump(), kLayerType);
  }
  JsonText ManifestOf(const std::string& config_type, const std::string& config,
                      const std::string& layer_type,
                      const std::string& artifact_type = "") {
    JsonText manifest = {{"schemaVersion", 2},
                         {"mediaType", kManifestType},
                         {"config", Put(config_type, config)},
                         {"layers", One(Put(layer_type, "layer"))}};
    if (!artifact_type.empty()) manifest["artifactType"] = artifact_type;
    return Put(kManifestType, manifest.dump());
  }
  JsonText Nested(const JsonText& entries) {
    return Put(kIndexType, IndexText(entries));
  }
  static std::string IndexText(const JsonText& entries) {
    return JsonText({{"schemaVersion", 2}, {"manifests", entries}}).dump();
  }
  static JsonText For(JsonText entry, const std::string& os,
                      const std::string& arch,
                      const std::string& variant = "") {
    entry["platform"] = {{"os", os}, {"architecture", arch}};
    if (!variant.empty()) entry["platform"]["variant"] = variant;
    return entry;
  }
  // A list of one: in braces it would be a copy.
  static JsonText One(const JsonText& entry) {
    JsonText list = JsonText::array();
    list.push_back(entry);
    return list;
  }
  static JsonText Missing() {
    return {{"mediaType", kManifestType},
            {"digest", Digest::Of("missing").ToString()},
            {"size", 7}};
  }
  absl::StatusOr<ResolvedImage> Find(const JsonText& entries,
                                     bool first_wins = true) {
    const auto index = ParseIndex(IndexText(entries), "");
    EXPECT_TRUE(index.ok()) << index.status();
    ResolveOptions options;
    options.first_wins = first_wins;
    options.names = {"wanted"};
    options.node = {"linux", "amd64", "v3"};
    reads_ = 0;
    return ResolveImage(
        *index,
        [this](const Descriptor& descriptor) -> absl::StatusOr<std::string> {
          ++reads_;
          const auto it = documents_.find(descriptor.digest.ToString());
          if (it != documents_.end()) return it->second;
          return absl::InvalidArgumentError("not there");
        },
        options);
  }
  // The author that Image() wrote, or the error.
  std::string Name(const JsonText& entries, bool first_wins = true) {
    const auto found = Find(entries, first_wins);
    if (!found.ok()) return std::string(found.status().message());
    return JsonText::parse(found->config_json)["author"];
  }

  int reads_ = 0;

 private:
  std::map<std::string, std::string> documents_;
};

// Field case C6: whatever does not fit is passed over, in any order.
TEST_F(Resolve, WhatDoesNotFitIsPassedOver) {
  std::vector<JsonText> entries = {
      Image("plain", "amd64"),
      Image("arm", "arm64"),
      Image("windows", "amd64", "windows"),
      For(Image("attestation", "unknown", "unknown"), "unknown", "unknown"),
      For(Missing(), "linux", "s390x"),
      Missing(),
      ManifestOf("application/vnd.cncf.helm.config.v1+json", "{}",
                 "application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
      ManifestOf("application/vnd.oci.empty.v1+json", "{}",
                 "application/octet-stream", "application/x.thing"),
      ManifestOf(kConfigType, R"({"os":"linux","architecture":"amd64"})",
                 "application/vnd.in-toto+json"),
      Nested(One(For(Image("other", "arm64"), "linux", "arm64"))),
      Nested(JsonText::array()),
      Put("application/octet-stream", "x")};
  for (size_t i = 0; i < entries.size(); ++i) {
    std::rotate(entries.begin(), entries.begin() + 1, entries.end());
    EXPECT_EQ(Name(entries), "plain");
  }
  entries.erase(std::remove(entries.begin(), entries.end(), Missing()),
                entries.end());
  for (size_t i = 0; i < entries.size(); ++i) {
    std::rotate(entries.begin(), entries.begin() + 1, entries.end());
    EXPECT_EQ(Name(entries, /*first_wins=*/false), "plain");
  }
}

TEST_F(Resolve, BestVariantFirst) {
  const JsonText v1 = For(Image("1", "amd64"), "linux", "amd64");
  const JsonText v2 = For(Image("2", "amd64"), "Linux", "x86_64", "v2");
  const JsonText v3 = For(Image("3", "amd64"), "LINUX", "AMD64", "3");
  const JsonText v4 = For(Image("4", "amd64"), "linux", "amd64", "v4");
  const JsonText silent = Image("silent", "x86_64");
  EXPECT_EQ(Name({v1, v2, v3, v4, silent}), "3");
  EXPECT_EQ(Name({silent, v4, v3, v2, v1}), "3");
  EXPECT_EQ(Name({silent, v4, v2, v1}), "2");
  EXPECT_EQ(Name({silent, v4, v1}), "1");
  EXPECT_EQ(Name({v4, silent}), "silent");
  EXPECT_EQ(Name({v4, Image("4", "amd64", "linux", "v4"), silent}), "silent");
  EXPECT_EQ(Name({v4, Nested({v4, v2}), Nested(One(v3))}), "2");
  EXPECT_THAT(Name(One(v4)), HasSubstr("linux/amd64/v4"));
}

TEST_F(Resolve, ARefusalSaysWhatIsThere) {
  const std::string text =
      Name({For(Image("a", "arm64"), "linux", "arm64", "v8"),
            Image("w", "amd64", "windows"),
            ManifestOf("application/vnd.cncf.helm.config.v1+json", "{}", "x/y"),
            ManifestOf("application/vnd.oci.empty.v1+json", "{}", "x/y",
                       "application/x.thing"),
            Put("text/strange\n\"type\"", "x")});
  EXPECT_THAT(text, HasSubstr("linux/amd64"));
  EXPECT_THAT(text, HasSubstr("linux/arm64/v8"));
  EXPECT_THAT(text, HasSubstr("windows/amd64"));
  EXPECT_THAT(text, HasSubstr("application/vnd.cncf.helm.config.v1+json"));
  EXPECT_THAT(text, HasSubstr("artifact of type application/x.thing, not a "
                              "container image"));
  EXPECT_THAT(text, HasSubstr("text/strange??type?"));
  JsonText many = JsonText::array();
  for (int i = 0; i < 100; ++i) {
    many.push_back(For(Missing(), "linux", absl::StrCat("arch", i)));
  }
  EXPECT_THAT(Name(many), HasSubstr("92 more"));
  EXPECT_LT(Name(many).size(), 600u);
}

TEST_F(Resolve, WhatFitsAndIsBrokenIsAnError) {
  const JsonText good = Image("good", "amd64");
  EXPECT_THAT(Name({For(Missing(), "linux", "amd64"), good}),
              HasSubstr("not there"));
  EXPECT_THAT(Name(One(Missing())), HasSubstr("not there"));
  // Two images at the top of an archive, of which one cannot be told.
  EXPECT_THAT(Name({Missing(), good}, false), HasSubstr("2 images"));
  JsonText named = good;
  named["annotations"] = {{"org.opencontainers.image.ref.name", "wanted"}};
  EXPECT_EQ(Name({Missing(), named}, false), "good");
  EXPECT_EQ(Name({named, named}, false), "good");
}

TEST_F(Resolve, IMG_3_IndexesAreBounded) {
  JsonText deep = Image("deep", "amd64");
  for (int i = 0; i < 4; ++i) deep = Nested(One(deep));
  EXPECT_EQ(Name(One(deep)), "deep");
  EXPECT_THAT(Name(One(Nested(One(deep)))), HasSubstr("nested too deep"));
  // Each level leads to the next in many ways, none of them to an image.
  JsonText wide = Image("none", "arm64");
  for (int level = 0; level < 3; ++level) {
    JsonText entries = JsonText::array();
    for (int i = 0; i < 50; ++i) entries.push_back(wide);
    wide = Nested(entries);
  }
  EXPECT_TRUE(absl::IsResourceExhausted(Find(One(wide)).status()));
  EXPECT_LT(reads_, 300);
}

}  // namespace
}  // namespace warren::image
