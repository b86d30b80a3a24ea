// The server against a real socket: server_test_daemon in a process of its own.
#include "agent/transport/server.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/transport/server_testing.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace warren::agent {
namespace {

namespace health = ::grpc::health::v1;

TEST_F(ServerTest, RequestsUpToSixteenMebibytes) {
  ASSERT_EQ(Start(8), "ready");
  api::InspectPodSandboxResponse reply;
  const std::string fits(kMaxMessageBytes - 1024, 'a');
  EXPECT_TRUE(Call(fits, kLong, &reply).ok());
  EXPECT_EQ(reply.pod().boottime_offset_ns(),
            static_cast<int64_t>(fits.size()));
  EXPECT_EQ(Call(fits + fits, kLong, &reply).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(ServerTest, RepliesAreUtf8) {
  ASSERT_EQ(Start(8), "ready");
  api::InspectPodSandboxResponse reply;
  ASSERT_TRUE(Call("id", kLong, &reply).ok());
  EXPECT_EQ(reply.pod().name(), "a\xEF\xBF\xBD");
}

TEST_F(ServerTest, REL_27_DrainCancelsWhatDoesNotEnd) {
  ASSERT_EQ(Start(8), "ready");
  grpc::Status slow;
  std::thread caller([&] {
    api::InspectPodSandboxResponse reply;
    slow = Call("slow", 2 * kLong, &reply);
  });
  EXPECT_EQ(ReadLine(), "slow") << "it is under way";
  EXPECT_TRUE(Call().ok());
  EXPECT_EQ(Stop(), 0);
  caller.join();
  EXPECT_FALSE(slow.ok());
  EXPECT_NE(slow.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED)
      << "the drain waited for the client";
}

TEST_F(ServerTest, REL_27_IdleClientsDoNotDelayTheDrain) {
  absl::Duration quickest = absl::InfiniteDuration();
  for (int i = 0; i < 20 && quickest > absl::Milliseconds(900); ++i) {
    ASSERT_EQ(Start(8), "ready");
    const UniqueFd idle = Connect(socket_);
    ASSERT_TRUE(Speaks(idle.get()));
    EXPECT_TRUE(Call().ok());
    const absl::Time start = absl::Now();
    EXPECT_EQ(Stop(), 0);
    quickest = std::min(quickest, absl::Now() - start);
  }
  EXPECT_LT(quickest, absl::Milliseconds(900)) << "always a second";
}

TEST_F(ServerTest, HealthCheckAndWatch) {
  ASSERT_EQ(Start(8), "ready");
  const auto stub = health::Health::NewStub(Channel());
  const auto check = [&](const std::string& name,
                         health::HealthCheckResponse* reply) {
    grpc::ClientContext context;
    health::HealthCheckRequest request;
    request.set_service(name);
    return stub->Check(&context, request, reply);
  };
  health::HealthCheckResponse reply;
  for (const char* name : {"", "warren.node.v1.NodeService"}) {
    ASSERT_TRUE(check(name, &reply).ok());
    EXPECT_EQ(reply.status(), health::HealthCheckResponse::SERVING);
  }
  EXPECT_EQ(check("nobody", &reply).error_code(), grpc::StatusCode::NOT_FOUND);

  grpc::ClientContext context;
  const auto watch = stub->Watch(&context, health::HealthCheckRequest());
  ASSERT_TRUE(watch->Read(&reply));
  EXPECT_EQ(reply.status(), health::HealthCheckResponse::SERVING);
  grpc::ClientContext unknown_context;
  health::HealthCheckRequest unknown;
  unknown.set_service("nobody");
  const auto unknown_watch = stub->Watch(&unknown_context, unknown);
  ASSERT_TRUE(unknown_watch->Read(&reply));
  EXPECT_EQ(reply.status(), health::HealthCheckResponse::SERVICE_UNKNOWN);
  unknown_context.TryCancel();
  EXPECT_FALSE(unknown_watch->Finish().ok());
  // The end of the daemon ends the watch and not the other way round.
  EXPECT_EQ(Stop(), 0);
  while (watch->Read(&reply)) {
  }
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

// ServerReflectionRequest.file_containing_symbol (field 4) by hand: there is
// no generated code of reflection in Debian.
TEST_F(ServerTest, HealthCanBeFoundByReflection) {
  ASSERT_EQ(Start(8), "ready");
  grpc::GenericStub stub(Channel());
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kLong));
  const auto call = stub.PrepareCall(
      &context,
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  const auto step = [&] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  ASSERT_TRUE(step());
  const std::string symbol = "grpc.health.v1.Health";
  const std::string request = absl::StrCat(
      "\x22", std::string(1, static_cast<char>(symbol.size())), symbol);
  const grpc::Slice slice(request);
  call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  ASSERT_TRUE(step());
  grpc::ByteBuffer reply;
  call->Read(&reply, nullptr);
  ASSERT_TRUE(step());
  std::vector<grpc::Slice> slices;
  ASSERT_TRUE(reply.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& part : slices) {
    bytes.append(reinterpret_cast<const char*>(part.begin()), part.size());
  }
  EXPECT_TRUE(absl::StrContains(bytes, "HealthCheckRequest"));
  context.TryCancel();
  queue.Shutdown();
  while (step()) {
  }
}

}  // namespace
}  // namespace warren::agent
