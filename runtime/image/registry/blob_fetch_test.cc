#include "runtime/image/registry/blob_fetch.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "runtime/image/registry/testing/client_fixture.h"

namespace warren::registry {
namespace {

using testing::Content;
using testing::Exchange;
using testing::FetchToString;
using ::testing::HasSubstr;
using testing::HttpServer;
using testing::Noise;
using testing::RangeStart;
using testing::ServerRequest;
using testing::StringSink;

constexpr size_t kSize = 400'000;
constexpr size_t kCut = 150'000;

// A registry that cuts the first answer after kCut bytes. What comes then is
// for each test to say.
class BlobFetchTest : public testing::ClientFixture {
 protected:
  using Later = std::function<void(const ServerRequest&, Exchange*)>;

  BlobFetchTest() { content_.AddBlob(blob_); }

  HttpServer::Handler CutFirst(const Later& later) {
    return [this, later](const ServerRequest& request, Exchange* exchange) {
      if (asked_++ == 0) {
        exchange->Head(200, {{"Content-Length", absl::StrCat(kSize)}});
        exchange->Write(blob_.substr(0, kCut));
        exchange->Close();
      } else {
        later(request, exchange);
      }
    };
  }

  // Fetches through a server that cuts, then does `later`.
  absl::StatusOr<std::string> Fetch(const Later& later) {
    asked_ = 0;
    HttpServer server(CutFirst(later));
    auto pull = Begin(server.host());
    auto fetched = FetchToString(pull.get(), blob_, Patience());
    requests_ = server.requests();
    return fetched;
  }

  static std::string Range(size_t first, size_t last, size_t total) {
    return absl::StrCat("bytes ", first, "-", last, "/", total);
  }

  const std::string blob_ = Noise(kSize);
  Content content_;
  std::atomic<int> asked_{0};
  std::vector<ServerRequest> requests_;
};

TEST(RegistryContentRange, Forms) {
  const auto range = ParseContentRange("bytes 5-9/10");
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->first, 5);
  EXPECT_EQ(range->last, 9);
  EXPECT_EQ(range->total, 10);
  EXPECT_FALSE(ParseContentRange("Bytes 5-9/*")->total.has_value());
  EXPECT_TRUE(ParseContentRange("bytes=5-9/10").has_value());
  for (const char* bad :
       {"", "bytes", "bytes */10", "bytes 9-5/10", "bytes 5-9", "bytes 5-9/9",
        "bytes -5/9", "bytes 5-/9", "items 5-9/10", "bytes 5-9/1x",
        "bytes 99999999999999999999-9/10", "bytes 5/9-10"}) {
    EXPECT_FALSE(ParseContentRange(bad).has_value()) << bad;
  }
}

TEST_F(BlobFetchTest, REL_17_CutIsResumed) {
  const auto fetched = Fetch([&](const auto& request, Exchange* exchange) {
    content_.Serve(request, exchange);
  });
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, blob_);
  ASSERT_EQ(requests_.size(), 2);
  EXPECT_FALSE(requests_[0].Has("range"));
  const size_t start = RangeStart(requests_[1]);
  EXPECT_GT(start, 0);
  EXPECT_LE(start, kCut);
}

TEST_F(BlobFetchTest, REL_17_ResetIsResumed) {
  HttpServer server([&](const ServerRequest& request, Exchange* exchange) {
    if (asked_++ == 0) {
      exchange->Head(200, {{"Content-Length", absl::StrCat(kSize)}});
      exchange->Write(blob_.substr(0, kCut));
      exchange->Reset();
    } else {
      content_.Serve(request, exchange);
    }
  });
  auto pull = Begin(server.host());
  const auto fetched = FetchToString(pull.get(), blob_, Patience());
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, blob_);
}

TEST_F(BlobFetchTest, MoreCutsThanTriesWhileItMoves) {
  options_.retries.tries = 2;
  HttpServer server([&](const ServerRequest& request, Exchange* exchange) {
    const size_t start = RangeStart(request);
    const size_t part = std::min<size_t>(70'000, kSize - start);
    exchange->Head(start == 0 ? 200 : 206,
                   {{"Content-Range", Range(start, kSize - 1, kSize)},
                    {"Content-Length", absl::StrCat(kSize - start)}});
    exchange->Write(blob_.substr(start, part));
    exchange->Close();
  });
  auto pull = Begin(server.host());
  const auto fetched = FetchToString(pull.get(), blob_, Patience());
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, blob_);
}

TEST_F(BlobFetchTest, RangesThatDoNotFitAreNotAppended) {
  const std::vector<std::pair<int, std::string>> lies = {
      {206, Range(kCut + 1, kSize - 1, kSize)},
      {206, Range(0, kSize - 1, kSize)},
      {206, Range(kCut, kSize - 1, kSize + 1)},
      {206, ""},
      {206, "nonsense"},
      {204, ""},
  };
  for (const auto& lie : lies) {
    const auto fetched = Fetch([&](const auto& request, Exchange* exchange) {
      if (request.Has("range")) {
        testing::ServerHeaders headers;
        if (!lie.second.empty()) headers = {{"Content-Range", lie.second}};
        exchange->Respond(lie.first, headers, std::string(1000, 'x'));
      } else {
        content_.Serve(request, exchange);
      }
    });
    ASSERT_TRUE(fetched.ok()) << lie.second << fetched.status();
    EXPECT_EQ(*fetched, blob_) << lie.second;
  }
}

TEST_F(BlobFetchTest, WholeAnswerToARangeIsReadFromItsStart) {
  for (const bool with_range : {false, true}) {
    const auto fetched = Fetch([&](const auto&, Exchange* exchange) {
      testing::ServerHeaders headers;
      if (with_range) {
        headers = {{"Content-Range", Range(0, kSize - 1, kSize)}};
      }
      exchange->Respond(200, headers, blob_);
    });
    ASSERT_TRUE(fetched.ok()) << fetched.status();
    EXPECT_EQ(*fetched, blob_);
    EXPECT_EQ(requests_.size(), 2);
  }
}

TEST_F(BlobFetchTest, OkWithThePartAskedForIsNotTakenForTheWhole) {
  const auto fetched = Fetch([&](const auto& request, Exchange* exchange) {
    const size_t start = RangeStart(request);
    exchange->Respond(200, {{"Content-Range", Range(start, kSize - 1, kSize)}},
                      blob_.substr(start));
  });
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, blob_);
}

TEST_F(BlobFetchTest, RefusedOpenRangeIsTriedClosedThenNotAtAll) {
  auto fetched = Fetch([&](const auto& request, Exchange* exchange) {
    if (absl::EndsWith(request.Get("range"), "-")) {
      exchange->Respond(416, {}, "");
    } else {
      content_.Serve(request, exchange);
    }
  });
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, blob_);
  ASSERT_EQ(requests_.size(), 3);
  EXPECT_TRUE(
      absl::EndsWith(requests_[2].Get("range"), absl::StrCat("-", kSize - 1)));

  fetched = Fetch([&](const auto& request, Exchange* exchange) {
    if (request.Has("range")) {
      exchange->Respond(416, {}, "");
    } else {
      content_.Serve(request, exchange);
    }
  });
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, blob_);
}

TEST_F(BlobFetchTest, IMG_4_AnotherBlobAfterTheCutIsFetchedAnew) {
  const auto fetched = Fetch([&](const auto& request, Exchange* exchange) {
    if (request.Has("range")) {
      const size_t start = RangeStart(request);
      exchange->Respond(206,
                        {{"Content-Range", Range(start, kSize - 1, kSize)}},
                        std::string(kSize - start, 'x'));
    } else {
      content_.Serve(request, exchange);
    }
  });
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, blob_);
}

TEST_F(BlobFetchTest, IMG_4_WrongBytesAreAnError) {
  const std::string wrong(kSize, 'x');
  HttpServer server([&](const ServerRequest&, Exchange* exchange) {
    exchange->Respond(200, {}, wrong);
  });
  auto pull = Begin(server.host());
  const auto fetched = FetchToString(pull.get(), blob_, Patience());
  EXPECT_EQ(fetched.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(fetched.status().message()),
              HasSubstr(server.host()));
  // A host that lies is not asked again.
  EXPECT_EQ(server.requests().size(), 1);
}

TEST_F(BlobFetchTest, IMG_3_MoreBytesThanTheDescriptorSays) {
  HttpServer server([&](const ServerRequest&, Exchange* exchange) {
    exchange->Head(200, {{"Connection", "close"}});
    while (exchange->Write(blob_)) {
    }
    exchange->Close();
  });
  auto pull = Begin(server.host());
  const auto fetched = FetchToString(pull.get(), blob_, Patience());
  EXPECT_EQ(fetched.status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(BlobFetchTest, EndThatComesEarlyAndInOrderIsResumed) {
  const auto fetched = Fetch([&](const auto& request, Exchange* exchange) {
    // Without a length the end of the connection is the end of the body.
    const size_t start = RangeStart(request);
    if (start < kSize / 2) {
      exchange->Head(206, {{"Connection", "close"},
                           {"Content-Range", Range(start, kSize - 1, kSize)}});
      exchange->Write(blob_.substr(start, 100'000));
      exchange->Close();
    } else {
      content_.Serve(request, exchange);
    }
  });
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, blob_);
}

TEST_F(BlobFetchTest, StallIsResumedAndNamed) {
  options_.limits.stall = absl::Milliseconds(300);
  auto fetched = Fetch([&](const auto& request, Exchange* exchange) {
    content_.Serve(request, exchange);
  });
  EXPECT_TRUE(fetched.ok()) << fetched.status();

  options_.retries.tries = 2;
  HttpServer server([&](const ServerRequest&, Exchange* exchange) {
    exchange->Head(200, {{"Content-Length", absl::StrCat(kSize)}});
    exchange->Write("some");
    exchange->AwaitEnd();
  });
  auto pull = Begin(server.host());
  fetched = FetchToString(pull.get(), blob_, Patience());
  EXPECT_EQ(fetched.status().code(), absl::StatusCode::kUnavailable);
  const std::string text(fetched.status().message());
  EXPECT_THAT(text, HasSubstr("stalled"));
  EXPECT_THAT(text, HasSubstr(image::Digest::Of(blob_).ToString()));
  EXPECT_THAT(text, HasSubstr(absl::StrCat("4 of ", kSize, " bytes")));
}

// Takes its time, as an unpacker on a slow disk does.
class SlowSink : public StringSink {
 public:
  absl::Status Write(absl::string_view bytes) override {
    const base::Deadline end = base::Deadline::After(absl::Milliseconds(400));
    while (bytes_seen_ == 0 && end.Check().ok()) std::this_thread::yield();
    bytes_seen_ += bytes.size();
    return StringSink::Write(bytes);
  }

 private:
  size_t bytes_seen_ = 0;
};

TEST_F(BlobFetchTest, TimeOfTheSinkIsNoStall) {
  options_.limits.stall = absl::Milliseconds(300);
  options_.limits.stall_bytes = kSize;
  options_.retries.tries = 1;
  HttpServer server([&](const ServerRequest& request, Exchange* exchange) {
    content_.Serve(request, exchange);
  });
  SlowSink sink;
  const absl::Status fetched =
      Begin(server.host())
          ->FetchBlob(image::Digest::Of(blob_), kSize, &sink, Patience());
  EXPECT_TRUE(fetched.ok()) << fetched;
}

// Fails with what a full disk says.
class FullSink : public StringSink {
 public:
  absl::Status Write(absl::string_view /*bytes*/) override {
    return absl::ResourceExhaustedError("disk full");
  }
};

TEST_F(BlobFetchTest, ErrorOfTheSinkEndsTheFetch) {
  HttpServer server([&](const ServerRequest& request, Exchange* exchange) {
    content_.Serve(request, exchange);
  });
  WriteHosts(server.host(), absl::StrCat("server = \"", server.url(), "\"\n",
                                         "[host.\"", server.url(), "\"]\n"));
  FullSink sink;
  const absl::Status fetched =
      Begin(server.host())
          ->FetchBlob(image::Digest::Of(blob_), kSize, &sink, Patience());
  EXPECT_EQ(fetched.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(server.requests().size(), 1);
}

TEST_F(BlobFetchTest, EmptyBlob) {
  HttpServer server([&](const ServerRequest& request, Exchange* exchange) {
    content_.Serve(request, exchange);
  });
  const auto fetched =
      FetchToString(Begin(server.host()).get(), "", Patience());
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, "");
}

}  // namespace
}  // namespace warren::registry
