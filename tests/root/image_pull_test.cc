// Pulls from a registry on loopback into a real store.

#include <absl/strings/match.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <utility>

#include "runtime/image/pull/registry_puller.h"
#include "runtime/image/registry/curl_transport.h"
#include "runtime/image/registry/registry_client.h"
#include "runtime/image/registry/testing/content.h"
#include "runtime/image/registry/testing/http_server.h"
#include "tests/root/image_fixture.h"
#include "tests/support/patience.h"

namespace warren::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Json;
using testing::LayoutSource;
using ::testing::SizeIs;
using testing::TarBuilder;

using registry::testing::Content;
using registry::testing::Exchange;
using registry::testing::HttpServer;
using registry::testing::Noise;
using registry::testing::ServerRequest;

using Result = absl::StatusOr<std::shared_ptr<const Image>>;

// A layer of `size` bytes that no compression makes small.
testing::LayerSource Layer(const std::string& file, size_t size = 100) {
  return {TarBuilder().File(file, Noise(size) + file).Build()};
}

class ImagePullTest : public ImageStoreTest {
 protected:
  void SetUp() override {
    ImageStoreTest::SetUp();
    if (IsSkipped()) return;
    Start();
  }
  void TearDown() override {
    puller_.reset();
    client_.reset();
    server_.reset();
    ImageStoreTest::TearDown();
  }

  void Start() {
    server_ = std::make_unique<HttpServer>(
        [this](const ServerRequest& request, Exchange* exchange) {
          if (answer_ && answer_(request, exchange)) return;
          content_.Serve(request, exchange);
        });
    registry::ClientOptions options;
    options.retries.first_wait = absl::Milliseconds(1);
    client_ = std::make_unique<registry::RegistryClient>(options, &transport_);
    auto puller = RegistryPuller::Start(&store(), client_.get(), {});
    ASSERT_TRUE(puller.ok()) << puller.status();
    puller_ = *std::move(puller);
  }

  // Puts the image into the registry under this tag.
  void Offer(const std::string& tag, const LayoutSource& source) {
    const auto files = LayoutFiles(source);
    const std::string manifest = ManifestDigest(source);
    for (const auto& [path, data] : files) {
      if (!absl::StartsWith(path, "blobs/")) continue;
      if (Digest::Of(data).ToString() != manifest) content_.AddBlob(data);
    }
    content_.AddManifest(tag, files.at("blobs/sha256/" + manifest.substr(7)),
                         "application/vnd.oci.image.manifest.v1+json");
  }

  std::string Name(const std::string& tag) const {
    return server_->host() + "/app/web:" + tag;
  }
  std::unique_ptr<PullTicket> Begin(const std::string& tag) {
    auto ticket = puller_->Begin({Name(tag), {}});
    EXPECT_TRUE(ticket.ok()) << ticket.status();
    return *std::move(ticket);
  }
  static Result Await(PullTicket* ticket) {
    EXPECT_TRUE(
        test::Eventually([&] { return ticket->done(); }, absl::Minutes(1)));
    return ticket->result();
  }
  Result Pull(const std::string& tag) { return Await(Begin(tag).get()); }

  // Nothing that is not whole is left of a pull.
  bool IsTidy() const {
    using Walk = std::filesystem::directory_iterator;
    std::error_code error;
    for (const auto& run : Walk(root() + "/tmp")) {
      if (Walk(run.path(), error) != Walk() || error) return false;
    }
    return true;
  }

  // Requests for blobs so far.
  int BlobRequests() const {
    int count = 0;
    for (const ServerRequest& request : server_->requests()) {
      count += absl::StrContains(request.target, "/blobs/") ? 1 : 0;
    }
    return count;
  }

  Content content_;
  // Before the content: true when it has answered.
  std::function<bool(const ServerRequest&, Exchange*)> answer_;
  registry::CurlTransport transport_{"test", {}};
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<registry::RegistryClient> client_;
  std::unique_ptr<RegistryPuller> puller_;
};

TEST_F(ImagePullTest, APulledImageIsWhatAnImportMakes) {
  LayoutSource source;
  source.layers = {Layer("a", 300000), Layer("b"), Layer("c")};
  source.layers[1].compression = Compression::kZstd;
  source.layers[2].compression = Compression::kNone;
  Offer("1", source);
  const auto pulled = Pull("1");
  ASSERT_TRUE(pulled.ok()) << pulled.status();
  EXPECT_THAT((*pulled)->repo_tags, ElementsAre(Name("1")));
  EXPECT_THAT(
      (*pulled)->repo_digests,
      ElementsAre(server_->host() + "/app/web@" + ManifestDigest(source)));
  const auto imported = Import(source, "imported:1");
  ASSERT_TRUE(imported.ok()) << imported.status();
  EXPECT_EQ((*imported)->id, (*pulled)->id);
  EXPECT_EQ((*imported)->layer_dirs, (*pulled)->layer_dirs);
  EXPECT_EQ((*imported)->size_bytes, (*pulled)->size_bytes);
  // It is there after a restart.
  puller_.reset();
  Reopen();
  const auto found = store().Find(Name("1"));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ((*found)->id, (*imported)->id);
}

TEST_F(ImagePullTest, WhatIsThereIsNotFetchedAgain) {
  LayoutSource source;
  source.layers = {Layer("a"), Layer("b")};
  Offer("1", source);
  ASSERT_TRUE(Pull("1").ok());
  const int blobs = BlobRequests();
  EXPECT_EQ(blobs, 3);  // two layers and the configuration
  // The same tag: one question.
  const size_t asked = server_->requests().size();
  ASSERT_TRUE(Pull("1").ok());
  EXPECT_THAT(server_->requests(), SizeIs(asked + 1));
  EXPECT_EQ(server_->requests().back().method, "HEAD");
  // Another image with the same layers and one more.
  source.layers.push_back(Layer("c"));
  Offer("2", source);
  ASSERT_TRUE(Pull("2").ok());
  EXPECT_EQ(BlobRequests(), blobs + 2);
}

TEST_F(ImagePullTest, ATagThatMovesLeavesTheOldImageByDigest) {
  LayoutSource source;
  source.layers = {Layer("a")};
  Offer("1", source);
  const auto first = Pull("1");
  ASSERT_TRUE(first.ok()) << first.status();
  source.layers = {Layer("b")};
  Offer("1", source);
  const auto second = Pull("1");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_NE((*second)->id, (*first)->id);
  EXPECT_EQ((*store().Find(Name("1")))->id, (*second)->id);
  const auto old = store().Find((*first)->id);
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_THAT((*old)->repo_tags, IsEmpty());
  EXPECT_THAT((*old)->repo_digests, SizeIs(1));
}

// While the registry holds back one blob, several callers wait for it.
TEST_F(ImagePullTest, CallersShareAPullAndEachMayLeave) {
  LayoutSource source;
  source.layers = {Layer("a", 1000), Layer("b", 1000)};
  Offer("1", source);
  std::atomic<bool> held{true};
  answer_ = [&](const ServerRequest& request, Exchange*) {
    if (absl::StrContains(request.target, "/blobs/")) {
      test::Eventually([&] { return !held; }, absl::Minutes(1));
    }
    return false;
  };
  auto first = Begin("1");
  auto second = Begin("1");
  ASSERT_TRUE(test::Eventually([&] { return BlobRequests() >= 1; }));
  first.reset();
  held = false;
  EXPECT_TRUE(Await(second.get()).ok());
  EXPECT_EQ(BlobRequests(), 3);
}

TEST_F(ImagePullTest, TheLastCallerWhoLeavesStopsEverything) {
  const auto before = Ledger();
  LayoutSource source;
  source.layers = {Layer("a", 1 << 20), Layer("b", 1 << 20)};
  Offer("1", source);
  std::atomic<int> stalled{0};
  // Half of each layer, then nothing.
  answer_ = [&](const ServerRequest& request, Exchange* exchange) {
    const std::string* blob = content_.BlobOf(request);
    if (blob == nullptr || blob->size() < 100000) return false;
    exchange->Head(200, {{"Content-Length", std::to_string(blob->size())}});
    exchange->Write(absl::string_view(*blob).substr(0, blob->size() / 2));
    ++stalled;
    exchange->AwaitEnd();
    exchange->Close();
    return true;
  };
  auto ticket = Begin("1");
  ASSERT_TRUE(test::Eventually([&] { return stalled == 2; }));
  EXPECT_TRUE(test::Eventually([&] {
    const PullProgress progress = ticket->progress();
    return progress.layers.size() == 2 && progress.layers[0].fetched > 100000 &&
           progress.layers[0].state == LayerProgress::State::kFetching;
  }));
  ticket.reset();
  EXPECT_TRUE(test::Eventually([&] { return IsTidy(); }, absl::Seconds(2)));
  EXPECT_EQ(Ledger(), before);
  // And a new caller begins anew.
  answer_ = nullptr;
  EXPECT_TRUE(Pull("1").ok());
}

TEST_F(ImagePullTest, ALayerThatTwoPullsNeedIsFetchedOnce) {
  LayoutSource one;
  one.layers = {Layer("shared", 200000), Layer("one")};
  LayoutSource two;
  two.layers = {one.layers[0], Layer("two")};
  Offer("1", one);
  Offer("2", two);
  std::atomic<bool> held{true};
  std::atomic<int> large{0};
  answer_ = [&](const ServerRequest& request, Exchange*) {
    const std::string* blob = content_.BlobOf(request);
    if (blob != nullptr && blob->size() > 100000) {
      ++large;
      test::Eventually([&] { return !held; }, absl::Minutes(1));
    }
    return false;
  };
  auto first = Begin("1");
  auto second = Begin("2");
  // Both have asked for all but the shared one: it is under way for both.
  ASSERT_TRUE(test::Eventually([&] { return BlobRequests() == 5; }));
  first.reset();  // the one that began it, or not
  held = false;
  const auto image = Await(second.get());
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(large, 1);
}

TEST_F(ImagePullTest, IMG_4_WrongBytesCountForNothing) {
  const auto before = Ledger();
  LayoutSource source;
  source.layers = {Layer("a", 300000)};
  Offer("1", source);
  std::atomic<int> lies{1};
  answer_ = [&](const ServerRequest& request, Exchange* exchange) {
    const std::string* blob = content_.BlobOf(request);
    if (blob == nullptr || blob->size() < 100000 || lies-- <= 0) return false;
    std::string wrong = *blob;
    wrong[wrong.size() / 2] ^= 1;
    exchange->Respond(200, {}, wrong);
    return true;
  };
  const absl::Status status = Pull("1").status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_TRUE(test::Eventually([&] { return IsTidy(); }));
  EXPECT_EQ(Ledger(), before);
  EXPECT_TRUE(Pull("1").ok());
}

TEST_F(ImagePullTest, WhatIsWrongIsSaidAndLeavesNothing) {
  const auto before = Ledger();
  LayoutSource source;
  source.layers = {Layer("good"), {std::string(5000, 'x')}};
  Offer("no-tar", source);
  source.layers = {Layer("good")};
  source.config = [](Json* config) {
    (*config)["rootfs"]["diff_ids"][0] = Digest::Of("other").ToString();
  };
  Offer("diff-id", source);
  source.config = nullptr;
  source.manifest = [](Json* manifest) {
    (*manifest)["layers"][0]["digest"] = Digest::Of("missing").ToString();
  };
  Offer("no-blob", source);
  const std::vector<std::pair<const char*, absl::StatusCode>> cases = {
      {"no-tar", absl::StatusCode::kInvalidArgument},
      {"diff-id", absl::StatusCode::kInvalidArgument},
      {"no-blob", absl::StatusCode::kNotFound},
      {"no-tag", absl::StatusCode::kNotFound},
  };
  for (const auto& [tag, code] : cases) {
    const absl::Status status = Pull(tag).status();
    EXPECT_EQ(status.code(), code) << tag << ": " << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(std::string("pull ") + Name(tag)));
    EXPECT_TRUE(test::Eventually([&] { return IsTidy(); })) << tag;
    EXPECT_EQ(Ledger(), before) << tag;
  }
  EXPECT_THAT(store().List(), IsEmpty());
  EXPECT_TRUE(
      absl::IsInvalidArgument(puller_->Begin({"UPPER/case:1", {}}).status()));
}

TEST_F(ImagePullTest, LayersThatDoNotFitOnTheDiskAreNotFetched) {
  LayoutSource source;
  source.layers = {Layer("a")};
  source.manifest = [](Json* manifest) {
    (*manifest)["layers"][0]["size"] = uint64_t{1} << 60;
  };
  Offer("1", source);
  const absl::Status status = Pull("1").status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(BlobRequests(), 1);  // the configuration
}

// A container holds the layer of an image that is gone, with its blob.
TEST_F(ImagePullTest, ALayerThatIsHeldNeedsItsBlobAlone) {
  LayoutSource source;
  source.layers = {Layer("a")};
  Offer("1", source);
  const auto first = Pull("1");
  ASSERT_TRUE(first.ok()) << first.status();
  const auto hold = store().Hold(Name("1"));
  ASSERT_TRUE(hold.ok());
  ASSERT_TRUE(store().Remove(Name("1")).ok());
  const auto second = Pull("1");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ((*second)->layer_dirs, (*hold)->image().layer_dirs);
  Reopen();
  EXPECT_TRUE(store().Find(Name("1")).ok());
}

}  // namespace
}  // namespace warren::image
