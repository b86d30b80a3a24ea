// IMG-4: every document, digest and size that does not hold is an error, and
// nothing of it stays.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/root/image_fixture.h"

namespace warren::image {
namespace {

using testing::Json;
using testing::LayoutSource;
using testing::TarBuilder;
using Files = std::map<std::string, std::string>;

class ImageLies : public ImageStoreTest {
 protected:
  // The import fails with `code`, and the store is as it was.
  void ExpectRefused(const std::string& what, const std::string& archive,
                     absl::StatusCode code,
                     const std::string& reference = "test/image:1") {
    const auto before = Ledger();
    const auto image = Import(archive, reference);
    EXPECT_EQ(image.status().code(), code) << what << ": " << image.status();
    EXPECT_LT(image.status().message().size(), 1024u) << what;
    EXPECT_EQ(Ledger(), before) << what;
    EXPECT_TRUE(store().List().empty()) << what;
    EXPECT_TRUE(absl::IsNotFound(store().Find("test/image:1").status()));
  }
};

struct Lie {
  std::string what;
  std::function<void(LayoutSource*)> tell;
};

// Replaces the blob whose digest starts a JSON text with `mark`.
void EditBlob(Files* files, const std::string& mark,
              const std::function<void(std::string*)>& edit) {
  for (auto& [path, data] : *files) {
    if (path.rfind("blobs/", 0) == 0 && data.find(mark) != std::string::npos) {
      edit(&data);
      return;
    }
  }
}

std::vector<Lie> LayerLies() {
  std::vector<Lie> lies;
  const auto tell = [&lies](const std::string& what,
                            std::function<void(Json*)> edit) {
    lies.push_back({what, [edit](LayoutSource* s) { s->manifest = edit; }});
  };
  const std::string other = Digest::Of("other").ToString();
  tell("layer digest of nothing",
       [other](Json* m) { (*m)["layers"][0]["digest"] = other; });
  tell("layer size too small", [](Json* m) { (*m)["layers"][0]["size"] = 1; });
  tell("layer size too large",
       [](Json* m) { (*m)["layers"][0]["size"] = 1 << 20; });
  tell("negative size", [](Json* m) { (*m)["layers"][0]["size"] = -1; });
  tell("size is text", [](Json* m) { (*m)["layers"][0]["size"] = "9"; });
  tell("layer of unknown type", [](Json* m) {
    (*m)["layers"][0]["mediaType"] = "application/octet-stream";
  });
  return lies;
}

std::vector<Lie> ConfigDescriptorLies() {
  std::vector<Lie> lies;
  const auto tell = [&lies](const std::string& what,
                            std::function<void(Json*)> edit) {
    lies.push_back({what, [edit](LayoutSource* s) { s->manifest = edit; }});
  };
  const std::string other = Digest::Of("other").ToString();
  tell("config digest of nothing",
       [other](Json* m) { (*m)["config"]["digest"] = other; });
  tell("config digest is a path", [](Json* m) {
    (*m)["config"]["digest"] = "sha256:../../../../etc/passwd";
  });
  tell("config digest of another algorithm", [](Json* m) {
    (*m)["config"]["digest"] = "md5:d41d8cd98f00b204e9800998ecf8427e";
  });
  tell("config is no image", [](Json* m) {
    (*m)["config"]["mediaType"] = "application/vnd.oci.empty.v1+json";
  });
  tell("config size wrong", [](Json* m) { (*m)["config"]["size"] = 2; });
  return lies;
}

std::vector<Lie> ManifestLies() {
  std::vector<Lie> lies;
  const auto tell = [&lies](const std::string& what,
                            std::function<void(Json*)> edit) {
    lies.push_back({what, [edit](LayoutSource* s) { s->manifest = edit; }});
  };
  const std::string other = Digest::Of("other").ToString();
  tell("also an index", [](Json* m) { (*m)["manifests"] = Json::array(); });
  tell("also an index, spelled oddly",
       [](Json* m) { (*m)["Manifests"] = Json::array(); });
  tell("also of version 1", [](Json* m) { (*m)["fsLayers"] = {}; });
  tell("layers twice by case", [](Json* m) { (*m)["Layers"] = {}; });
  tell("another media type inside", [](Json* m) {
    (*m)["mediaType"] = "application/vnd.oci.image.index.v1+json";
  });
  tell("version 1", [](Json* m) { (*m)["schemaVersion"] = 1; });
  tell("no version", [](Json* m) { m->erase("schemaVersion"); });
  tell("no layers", [](Json* m) { (*m)["layers"] = Json::array(); });
  tell("layers is an object", [](Json* m) { (*m)["layers"] = Json::object(); });
  tell("129 layers", [](Json* m) {
    const Json layer = (*m)["layers"][0];
    for (int i = 0; i < 128; ++i) (*m)["layers"].push_back(layer);
  });
  tell("one layer more than diff IDs",
       [](Json* m) { (*m)["layers"].push_back(Json((*m)["layers"][0])); });
  return lies;
}

std::vector<Lie> ConfigLies() {
  std::vector<Lie> lies;
  const auto tell = [&lies](const std::string& what,
                            std::function<void(Json*)> edit) {
    lies.push_back({what, [edit](LayoutSource* s) { s->config = edit; }});
  };
  const std::string other = Digest::Of("other").ToString();
  tell("wrong diff ID",
       [other](Json* c) { (*c)["rootfs"]["diff_ids"][0] = other; });
  tell("diff ID is a path",
       [](Json* c) { (*c)["rootfs"]["diff_ids"][0] = "../../x"; });
  tell("one diff ID more",
       [other](Json* c) { (*c)["rootfs"]["diff_ids"].push_back(other); });
  tell("no rootfs", [](Json* c) { c->erase("rootfs"); });
  tell("rootfs of another type",
       [](Json* c) { (*c)["rootfs"]["type"] = "base"; });
  tell("another architecture", [](Json* c) { (*c)["architecture"] = "s390x"; });
  tell("another system", [](Json* c) { (*c)["os"] = "windows"; });
  tell("also a manifest", [](Json* c) { (*c)["layers"] = Json::array(); });
  tell("NUL in the environment",
       [](Json* c) { (*c)["config"]["Env"] = {std::string("A=\0B", 4)}; });
  tell("command is text", [](Json* c) { (*c)["config"]["Cmd"] = "/bin/sh"; });
  tell("user is a number", [](Json* c) { (*c)["config"]["User"] = 0; });
  return lies;
}

std::vector<Lie> IndexLies() {
  std::vector<Lie> lies;
  const auto tell = [&lies](const std::string& what,
                            std::function<void(Json*)> edit) {
    lies.push_back({what, [edit](LayoutSource* s) { s->index = edit; }});
  };
  const std::string other = Digest::Of("other").ToString();
  tell("also a manifest", [](Json* i) { (*i)["layers"] = Json::array(); });
  tell("also a configuration",
       [](Json* i) { (*i)["config"] = Json::object(); });
  tell("empty", [](Json* i) { (*i)["manifests"] = Json::array(); });
  tell("manifest size wrong",
       [](Json* i) { (*i)["manifests"][0]["size"] = 7; });
  tell("manifest called an index", [](Json* i) {
    (*i)["manifests"][0]["mediaType"] =
        "application/vnd.oci.image.index.v1+json";
  });
  tell("manifest of nothing",
       [other](Json* i) { (*i)["manifests"][0]["digest"] = other; });
  tell("only other platforms", [](Json* i) {
    (*i)["manifests"][0]["platform"] = {{"os", "linux"},
                                        {"architecture", "s390x"}};
  });
  return lies;
}

TEST_F(ImageLies, IMG_4_LyingDocuments) {
  for (const auto& lies : {LayerLies(), ConfigDescriptorLies(), ManifestLies(),
                           ConfigLies(), IndexLies()}) {
    for (const Lie& lie : lies) {
      LayoutSource source = SmallImage("x");
      lie.tell(&source);
      ExpectRefused(lie.what, testing::BuildLayout(source),
                    absl::StatusCode::kInvalidArgument);
    }
  }
}

TEST_F(ImageLies, IMG_4_RawDocuments) {
  std::string deep;
  for (int i = 0; i < 70; ++i) deep += "{\"a\":";
  deep += "1" + std::string(70, '}');
  for (const std::string& text :
       {std::string("{"), std::string("[]"), std::string("null"),
        std::string("\"x\""), std::string("{}x"),
        std::string("{\"a\":\"\xff\"}"), std::string(1 << 20, '['), deep,
        std::string("{\"schemaVersion\":2,\"schemaVersion\":2}")}) {
    LayoutSource as_manifest = SmallImage("x");
    as_manifest.raw_manifest = text;
    ExpectRefused("manifest " + text.substr(0, 20),
                  testing::BuildLayout(as_manifest),
                  absl::StatusCode::kInvalidArgument);
    LayoutSource as_config = SmallImage("x");
    as_config.raw_config = text;
    ExpectRefused("config " + text.substr(0, 20),
                  testing::BuildLayout(as_config),
                  absl::StatusCode::kInvalidArgument);
    LayoutSource as_index = SmallImage("x");
    as_index.raw_index = text;
    ExpectRefused("index " + text.substr(0, 20), testing::BuildLayout(as_index),
                  absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(ImageLies, IMG_3_DocumentsOverTheLimit) {
  const std::string big = "{\"a\":\"" + std::string(4 << 20, 'x') + "\"}";
  LayoutSource source = SmallImage("x");
  source.raw_manifest = big;
  ExpectRefused("manifest", testing::BuildLayout(source),
                absl::StatusCode::kResourceExhausted);
  source = SmallImage("x");
  source.raw_config = big;
  ExpectRefused("config", testing::BuildLayout(source),
                absl::StatusCode::kResourceExhausted);
  source = SmallImage("x");
  source.raw_index = big;
  ExpectRefused("index", testing::BuildLayout(source),
                absl::StatusCode::kResourceExhausted);
}

TEST_F(ImageLies, IMG_4_WrongBytes) {
  const std::vector<std::pair<std::string, std::function<void(Files*)>>> lies =
      {{"manifest changed",
        [](Files* f) {
          EditBlob(f, "schemaVersion", [](std::string* d) { *d += " "; });
        }},
       {"config changed",
        [](Files* f) {
          EditBlob(f, "diff_ids", [](std::string* d) { *d += "\n"; });
        }},
       {"layer cut short",
        [](Files* f) {
          EditBlob(f, "\x1f\x8b", [](std::string* d) { d->pop_back(); });
        }},
       {"layer empty",
        [](Files* f) {
          EditBlob(f, "\x1f\x8b", [](std::string* d) { d->clear(); });
        }},
       {"blob name too short",
        [](Files* f) { (*f)["blobs/sha256/abc"] = "x"; }},
       {"blob name with a dot",
        [](Files* f) { (*f)["blobs/sha256/../" + std::string(61, 'a')] = ""; }},
       {"blob of another algorithm",
        [](Files* f) { (*f)["blobs/sha512/" + std::string(64, 'a')] = "x"; }},
       {"stray file", [](Files* f) { (*f)["etc/passwd"] = "x"; }},
       {"no oci-layout", [](Files* f) { f->erase("oci-layout"); }},
       {"no index.json", [](Files* f) { f->erase("index.json"); }},
       {"layout of version 2",
        [](Files* f) {
          (*f)["oci-layout"] = R"({"imageLayoutVersion":"2.0.0"})";
        }},
       {"layout without version", [](Files* f) { (*f)["oci-layout"] = "{}"; }}};
  for (const auto& [what, tell] : lies) {
    LayoutSource source = SmallImage("x");
    source.files = tell;
    ExpectRefused(what, testing::BuildLayout(source),
                  absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(ImageLies, IMG_4_BrokenArchives) {
  const std::string good = testing::BuildLayout(SmallImage("x"));
  const auto invalid = absl::StatusCode::kInvalidArgument;
  ExpectRefused("empty", "", invalid);
  ExpectRefused("garbage", std::string(2048, 'x'), invalid);
  ExpectRefused("gzip around", testing::Compress(good, Compression::kGzip),
                invalid);
  ExpectRefused("zstd around", testing::Compress(good, Compression::kZstd),
                invalid);
  ExpectRefused("bytes after the end", good + "x", invalid);
  // Cut anywhere: blobs come first, so no prefix is an image.
  const size_t whole = good.size() - 1024;
  for (size_t size = 1; size < whole; size += 509) {
    ExpectRefused("cut", good.substr(0, size), invalid);
  }
  TarBuilder twice;
  twice.Raw(good.substr(0, whole)).File("index.json", "{}");
  ExpectRefused("index twice", twice.Build(), invalid);
  TarBuilder linked;
  linked.Raw(good.substr(0, whole)).Symlink("blobs/sha256", "/etc");
  ExpectRefused("symlink", linked.Build(), invalid);
}

TEST_F(ImageLies, IMG_4_DigestOfTheReference) {
  ExpectRefused("other digest", testing::BuildLayout(SmallImage("x")),
                absl::StatusCode::kInvalidArgument,
                "app@" + Digest::Of("other").ToString());
}

// A layer that is there already does not vouch for a blob that lies about it.
TEST_F(ImageLies, IMG_4_KnownDiffIdDoesNotExcuseABlob) {
  const LayoutSource honest = SmallImage("honest");
  ASSERT_TRUE(Import(honest, "test/honest:1").ok());
  const auto before = Ledger();
  LayoutSource lie = SmallImage("lie");
  lie.config = [&](Json* config) {
    (*config)["rootfs"]["diff_ids"][0] =
        Digest::Of(honest.layers[0].tar).ToString();
  };
  const auto image = Import(lie);
  EXPECT_TRUE(absl::IsInvalidArgument(image.status())) << image.status();
  EXPECT_EQ(Ledger(), before);
}

TEST_F(ImageLies, AbandonedSessionsLeaveNothing) {
  const std::string good = testing::BuildLayout(SmallImage("x"));
  const auto before = Ledger();
  for (const size_t size : {size_t{0}, size_t{700}, good.size()}) {
    auto session = store().BeginImport("test/image:1", false);
    ASSERT_TRUE(session.ok());
    EXPECT_TRUE((*session)->Write(good.substr(0, size)).ok());
  }
  EXPECT_EQ(Ledger(), before);
  EXPECT_TRUE(
      absl::IsInvalidArgument(store().BeginImport("Bad Name", false).status()));
}

}  // namespace
}  // namespace warren::image
