// ImageService.PullImage and NodeService.PullImage of a daemon that reaches a
// registry on the loopback of its node.
#include <absl/strings/match.h>

#include <atomic>
#include <set>
#include <thread>

#include "runtime/image/registry/testing/content.h"
#include "runtime/image/registry/testing/http_server.h"
#include "runtime/image/testing/layout_builder.h"
#include "tests/support/command.h"
#include "tests/support/cri_test.h"
#include "tests/support/ledger_probes.h"
#include "tests/support/oci_image.h"

namespace warren::test {
namespace {

using image::testing::LayoutFiles;
using image::testing::LayoutSource;
using image::testing::ManifestDigest;
using registry::testing::Content;
using registry::testing::Exchange;
using registry::testing::HttpServer;
using registry::testing::ServerRequest;

class PullTest : public CriTest {
 protected:
  void SetUp() override {
    CriTest::SetUp();
    server_ = std::make_unique<HttpServer>(
        [this](const ServerRequest& request, Exchange* exchange) {
          if (answer_ && answer_(request, exchange)) return;
          content_.Serve(request, exchange);
        });
  }
  void TearDown() override {
    for (const std::string& name : pulled_) {
      cri::RemoveImageRequest request;
      request.mutable_image()->set_image(name);
      EXPECT_TRUE(client().Call<cri::RemoveImageResponse>(request).ok());
    }
    server_.reset();
    CriTest::TearDown();
  }

  void Offer(const std::string& tag, const LayoutSource& source) {
    const auto files = LayoutFiles(source);
    const std::string manifest = ManifestDigest(source).substr(7);
    for (const auto& [path, data] : files) {
      if (!absl::StartsWith(path, "blobs/")) continue;
      if (!absl::EndsWith(path, manifest)) content_.AddBlob(data);
    }
    content_.AddManifest(tag, files.at("blobs/sha256/" + manifest),
                         "application/vnd.oci.image.manifest.v1+json");
  }
  std::string Name(const std::string& tag) {
    return server_->host() + "/app/web:" + tag;
  }
  absl::StatusOr<cri::PullImageResponse> Pull(
      const std::string& tag, absl::Duration timeout = kCallTimeout,
      const cri::AuthConfig& auth = {}) {
    cri::PullImageRequest request;
    request.mutable_image()->set_image(Name(tag));
    *request.mutable_auth() = auth;
    pulled_.insert(Name(tag));
    return client().Call<cri::PullImageResponse>(request, timeout);
  }
  static LayoutSource Busybox() {
    LayoutSource source;
    source.layers = {{BusyboxLayer({"sh", "cat", "sleep"}, {})},
                     {Tar({{.name = "word", .content = "pulled\n"}})}};
    return source;
  }

  Content content_;
  std::function<bool(const ServerRequest&, Exchange*)> answer_;
  std::unique_ptr<HttpServer> server_;
  std::set<std::string> pulled_;
};

TEST_F(PullTest, APulledImageRuns) {
  Offer("1", Busybox());
  const auto reply = Pull("1");
  ASSERT_TRUE(reply.ok()) << reply.status();
  cri::ImageStatusRequest request;
  request.mutable_image()->set_image(Name("1"));
  const auto status = client().Call<cri::ImageStatusResponse>(request);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->image().id(), reply->image_ref());
  EXPECT_GT(status->image().size(), 0u);
  // As a kubelet names it: by what PullImage answered.
  cri::ContainerConfig config = IdleConfig("app");
  config.mutable_image()->set_image(reply->image_ref());
  const std::string container = RunAlone(config);
  EXPECT_EQ(Output(container, {"/bin/cat", "/word"}), "pulled\n");
}

// imagePullPolicy: Always.
TEST_F(PullTest, APullOfWhatIsThereAsksTheRegistryAndFollowsTheTag) {
  Offer("1", Busybox());
  const auto first = Pull("1");
  ASSERT_TRUE(first.ok()) << first.status();
  const size_t asked = server_->requests().size();
  EXPECT_EQ(Pull("1")->image_ref(), first->image_ref());
  EXPECT_GT(server_->requests().size(), asked);
  LayoutSource moved = Busybox();
  moved.layers.push_back({Tar({{.name = "more", .content = "x"}})});
  Offer("1", moved);
  const auto second = Pull("1");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_NE(second->image_ref(), first->image_ref());
  cri::RemoveImageRequest old;
  old.mutable_image()->set_image(first->image_ref());
  EXPECT_TRUE(client().Call<cri::RemoveImageResponse>(old).ok());
}

TEST_F(PullTest, TheCallersDeadlineStopsItAndLeavesNothing) {
  Offer("1", Busybox());
  answer_ = [](const ServerRequest& request, Exchange* exchange) {
    if (!absl::StrContains(request.target, "/blobs/")) return false;
    exchange->AwaitEnd();
    exchange->Close();
    return true;
  };
  const auto before = Files(daemon().state_dir() + "/images", {});
  EXPECT_CODE(Pull("1", absl::Milliseconds(1)).status(), kDeadlineExceeded);
  EXPECT_CODE(Pull("1", absl::Seconds(1)).status(), kDeadlineExceeded);
  EXPECT_TRUE(Eventually(
      [&] { return Files(daemon().state_dir() + "/images", {}) == before; }));
  answer_ = nullptr;
  EXPECT_TRUE(Pull("1").ok());
}

TEST_F(PullTest, ErrorsSayWhatAKubeletLooksFor) {
  EXPECT_CODE(Pull("missing").status(), kNotFound);
  cri::PullImageRequest request;
  EXPECT_CODE(client().Call<cri::PullImageResponse>(request).status(),
              kInvalidArgument);
  // Nobody listens there.
  request.mutable_image()->set_image("127.0.0.1:9/app:1");
  const absl::Status status =
      client().Call<cri::PullImageResponse>(request).status();
  EXPECT_CODE(status, kUnknown);
  EXPECT_THAT(std::string(status.message()),
              testing::StartsWith("RegistryUnavailable: "));
}

TEST_F(PullTest, API_9_CredentialsAreUsedAndNeverLogged) {
  Offer("1", Busybox());
  answer_ = [](const ServerRequest& request, Exchange* exchange) {
    // "kim:open sesame"
    if (request.Get("authorization") == "Basic a2ltOm9wZW4gc2VzYW1l") {
      return false;
    }
    exchange->Respond(401, {{"WWW-Authenticate", "Basic realm=\"x\""}}, "");
    return true;
  };
  EXPECT_CODE(Pull("1").status(), kUnauthenticated);
  cri::AuthConfig auth;
  auth.set_username("kim");
  auth.set_password("open sesame");
  EXPECT_TRUE(Pull("1", kCallTimeout, auth).ok());
  auth.set_password("open barley");
  const absl::Status status = Pull("1", kCallTimeout, auth).status();
  EXPECT_CODE(status, kUnauthenticated);
  EXPECT_THAT(std::string(status.message()),
              testing::Not(testing::HasSubstr("barley")));
  const std::string log = ReadHostFile(daemon().directory() + "/warrend.log");
  EXPECT_THAT(log, testing::HasSubstr("rpc=PullImage"));
  for (const char* secret : {"sesame", "barley", "a2ltOm9wZW4"}) {
    EXPECT_THAT(log, testing::Not(testing::HasSubstr(secret)));
  }
}

TEST_F(PullTest, FiveCallersOfOneImageShareThePull) {
  Offer("1", Busybox());
  std::atomic<int> blobs{0};
  std::atomic<int> begun{0};
  answer_ = [&](const ServerRequest& request, Exchange*) {
    if (!absl::StrContains(request.target, "/blobs/")) return false;
    ++blobs;
    Eventually([&] { return begun == 5; });
    return false;
  };
  pulled_.insert(Name("1"));
  std::vector<std::thread> callers;
  std::atomic<int> good{0};
  for (int i = 0; i < 5; ++i) {
    callers.emplace_back([&] {
      cri::PullImageRequest request;
      request.mutable_image()->set_image(Name("1"));
      ++begun;
      good += client().Call<cri::PullImageResponse>(request).ok() ? 1 : 0;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(good, 5);
  // Two layers and the configuration; who came late found it there.
  EXPECT_EQ(blobs, 3);
}

TEST_F(PullTest, WarrenctlShowsEachLayer) {
  Offer("1", Busybox());
  pulled_.insert(Name("1"));
  const auto result =
      RunCommand({BinaryDirectory() + "/warrenctl", "--socket",
                  daemon().socket(), "image", "pull", Name("1")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, testing::MatchesRegex("sha256:[0-9a-f]+\n"));
  EXPECT_THAT(result.err, testing::HasSubstr("done"));
}

}  // namespace
}  // namespace warren::test
