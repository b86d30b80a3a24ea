#include "runtime/image/registry/registry_client.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "runtime/image/registry/testing/client_fixture.h"
#include "runtime/image/registry/testing/content.h"
#include "runtime/image/registry/testing/http_server.h"
#include "runtime/image/registry/testing/tls_identity.h"

namespace warren::registry {
namespace {

using testing::Content;
using testing::Exchange;
using testing::FetchToString;
using ::testing::HasSubstr;
using testing::HttpServer;
using testing::kManifest;
using testing::kManifestType;
using testing::Noise;
using testing::ServerRequest;
using testing::TlsIdentity;

class RegistryClientTest : public testing::ClientFixture {
 protected:
  // Serves content_ honestly.
  HttpServer::Handler Honest() {
    return [this](const ServerRequest& request, Exchange* exchange) {
      content_.Serve(request, exchange);
    };
  }
  Content content_;
};

TEST_F(RegistryClientTest, AnonymousPullFromPlainLoopback) {
  const auto digest = content_.AddManifest("v1", kManifest, kManifestType);
  const std::string blob = Noise(300'000);
  content_.AddBlob(blob);
  HttpServer server(Honest());
  auto pull = Begin(server.host());

  const auto document = pull->ResolveTag("v1", Patience());
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(document->bytes, kManifest);
  EXPECT_EQ(document->media_type, kManifestType);
  EXPECT_EQ(document->digest, digest);
  const auto again =
      pull->FetchManifest(digest, document->bytes.size(), Patience());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->bytes, kManifest);
  const auto fetched = FetchToString(pull.get(), blob, Patience());
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, blob);

  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 3);
  EXPECT_EQ(requests[0].target, "/v2/app/web/manifests/v1");
  for (const char* type :
       {"application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json"}) {
    EXPECT_THAT(requests[0].Get("accept"), HasSubstr(type));
  }
  EXPECT_EQ(requests[0].Get("user-agent"), "warren-test/1");
  // One connection for all.
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(RegistryClientTest, ConnectionsThatDieBetweenRequestsAreReplaced) {
  const std::string blob = Noise(1000);
  content_.AddBlob(blob);
  HttpServer server([&](const ServerRequest& request, Exchange* exchange) {
    content_.Serve(request, exchange);
    exchange->Close();  // without a word before
  });
  options_.retries.tries = 1;
  auto pull = Begin(server.host());
  for (int i = 0; i < 5; ++i) {
    const auto fetched = FetchToString(pull.get(), blob, Patience());
    EXPECT_TRUE(fetched.ok()) << fetched.status();
  }
  EXPECT_EQ(server.connections(), 5);
}

TEST_F(RegistryClientTest, TagIsPinned) {
  const std::string first = kManifest;
  const std::string second = absl::StrCat(kManifest, "\n");
  content_.AddManifest("v1", first, kManifestType);
  HttpServer server(Honest());
  auto pull = Begin(server.host());
  ASSERT_TRUE(pull->ResolveTag("v1", Patience()).ok());
  content_.AddManifest("v1", second, kManifestType);
  const auto again = pull->ResolveTag("v1", Patience());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->bytes, first);
  // Another pull sees the new one.
  const auto other = Begin(server.host())->ResolveTag("v1", Patience());
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(other->bytes, second);
}

TEST_F(RegistryClientTest, HeadTellsTheDigest) {
  const auto digest = content_.AddManifest("v1", kManifest, kManifestType);
  HttpServer server(Honest());
  auto pull = Begin(server.host());
  const auto found = pull->LookUpTag("v1", Patience());
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, digest);
  EXPECT_EQ(server.requests()[0].method, "HEAD");
}

TEST_F(RegistryClientTest, HeadThatIsNotAnsweredLeavesItToGet) {
  content_.AddManifest("v1", kManifest, kManifestType);
  for (const int status : {200, 404, 405}) {
    HttpServer server([&](const ServerRequest& request, Exchange* exchange) {
      if (request.method == "HEAD") {
        exchange->Respond(status, {}, "");
      } else {
        content_.Serve(request, exchange);
      }
    });
    auto pull = Begin(server.host());
    const auto found = pull->LookUpTag("v1", Patience());
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_FALSE(found->has_value());
    EXPECT_TRUE(pull->ResolveTag("v1", Patience()).ok());
  }
}

TEST_F(RegistryClientTest, TagWorksWhereItsDigestDoesNot) {
  content_.AddManifest("v1", kManifest, kManifestType);
  HttpServer server([&](const ServerRequest& request, Exchange* exchange) {
    if (absl::StrContains(request.target, "sha256:")) {
      exchange->Respond(404, {}, "");
    } else {
      content_.Serve(request, exchange);
    }
  });
  auto pull = Begin(server.host());
  ASSERT_TRUE(pull->LookUpTag("v1", Patience()).ok());
  const auto document = pull->ResolveTag("v1", Patience());
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(document->bytes, kManifest);
}

TEST_F(RegistryClientTest, MissingImageIsNotFoundAndNamesTheHost) {
  HttpServer server(Honest());
  const auto document = Begin(server.host())->ResolveTag("v9", Patience());
  EXPECT_EQ(document.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(document.status().message(),
            absl::StrCat("manifest v9: ", server.host(),
                         ": HTTP 404 (MANIFEST_UNKNOWN)"));
}

TEST_F(RegistryClientTest, HttpsWithItsOwnAuthorityAndClientCertificate) {
  content_.AddManifest("v1", kManifest, kManifestType);
  const TlsIdentity identity(/*require_client=*/true);
  HttpServer server(Honest(), &identity);
  // Nobody knows the authority: refused, and not tried without TLS.
  const auto refused = Begin(server.host())->ResolveTag("v1", Patience());
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("certificate"));
  EXPECT_TRUE(server.requests().empty());

  WriteHosts(server.host(), "ca = \"ca.pem\"\nclient = \"client.pem\"\n");
  WriteFile(server.host() + "/ca.pem", identity.ca_pem());
  WriteFile(server.host() + "/client.pem", identity.client_pem());
  const auto document = Begin(server.host())->ResolveTag("v1", Patience());
  EXPECT_TRUE(document.ok()) << document.status();
}

TEST_F(RegistryClientTest, SkipVerifyIsForItsHostAlone) {
  content_.AddManifest("v1", kManifest, kManifestType);
  const TlsIdentity identity;
  HttpServer server(Honest(), &identity);
  WriteHosts(server.host(), "skip_verify = true\n");
  const auto document = Begin(server.host())->ResolveTag("v1", Patience());
  EXPECT_TRUE(document.ok()) << document.status();
}

TEST_F(RegistryClientTest, CancelEndsAStalledRequestAtOnce) {
  HttpServer server([](const ServerRequest&, Exchange* exchange) {
    exchange->Head(200, {{"Content-Length", "10"}});
    exchange->AwaitEnd();
  });
  auto pull = Begin(server.host());
  std::stop_source stop;
  std::thread canceller([&] {
    while (server.requests().empty()) std::this_thread::yield();
    stop.request_stop();
  });
  const auto document =
      pull->ResolveTag("v1", Patience().CancelledBy(stop.get_token()));
  canceller.join();
  EXPECT_EQ(document.status().code(), absl::StatusCode::kCancelled);
}

TEST_F(RegistryClientTest, DeadlineEndsAPull) {
  HttpServer server(
      [](const ServerRequest&, Exchange* exchange) { exchange->AwaitEnd(); });
  const auto document =
      Begin(server.host())
          ->ResolveTag("v1", base::Deadline::After(absl::Milliseconds(50)));
  EXPECT_EQ(document.status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(RegistryClientTest, ParallelBlobsOfOnePull) {
  HttpServer server(Honest());
  std::vector<std::string> blobs;
  for (int i = 0; i < 8; ++i) {
    blobs.push_back(Noise(100'000 + i));
    content_.AddBlob(blobs.back());
  }
  auto pull = Begin(server.host());
  std::vector<std::thread> threads;
  threads.reserve(blobs.size());
  for (const std::string& blob : blobs) {
    threads.emplace_back([&] {
      const auto fetched = FetchToString(pull.get(), blob, Patience());
      ASSERT_TRUE(fetched.ok()) << fetched.status();
      EXPECT_EQ(*fetched, blob);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(RegistryClientTest, NamesThatFitNoPathAreRefused) {
  CurlTransport transport("warren-test/1", {});
  RegistryClient client({}, &transport);
  for (const char* repository : {"", "a b", "../x", "x?y", "x%2e", "a#b"}) {
    EXPECT_EQ(client.Begin({"127.0.0.1:1", repository}, {}).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  for (const char* host : {"", "a/b", "a?b", "u@h", "h:0", "h:x", "[::1"}) {
    EXPECT_EQ(client.Begin({host, "app"}, {}).status().code(),
              absl::StatusCode::kInvalidArgument)
        << host;
  }
}

}  // namespace
}  // namespace warren::registry
