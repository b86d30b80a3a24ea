#include "agent/api/rpc.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "agent/api/health_service.h"
#include "agent/cri/text.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "runtime/base/status.h"
#include "warren/node/v1/node.grpc.pb.h"

namespace warren::agent {
namespace {

TEST(RpcTest, CodesKeepTheirNumbers) {
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status =
        ToGrpcStatus(absl::Status(static_cast<absl::StatusCode>(code), "why"));
    EXPECT_EQ(static_cast<int>(status.error_code()), code);
    EXPECT_EQ(status.error_message(), "why");
  }
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
}

// To a kubelet NOT_FOUND means that the pod is gone.
TEST(RpcTest, NoErrnoBecomesNotFound) {
  for (const int error : {ENOENT, ESRCH, ENODEV}) {
    EXPECT_EQ(ToGrpcStatus(base::ErrnoError(error, "open")).error_code(),
              grpc::StatusCode::INTERNAL);
  }
}

TEST(RpcTest, API_6_StatusTextIsShortOneLineUtf8) {
  const std::string huge = "field\n" + std::string(1 << 20, '\xFF');
  const grpc::Status status = ToGrpcStatus(absl::InvalidArgumentError(huge));
  EXPECT_LE(status.error_message().size(), kMaxStatusText);
  EXPECT_TRUE(IsUtf8(status.error_message()));
  EXPECT_EQ(status.error_message().find('\n'), std::string::npos);
}

TEST(RpcTest, BodySeesADeadlineInTheFutureAndReplyIsCleaned) {
  grpc::ServerContext context;
  google::protobuf::Message* no_reply = nullptr;
  RpcCall call{
      .service = "runtime.v1.RuntimeService", .name = "Status", .object = "x"};
  const grpc::Status status = RunRpcAs(
      Caller::UnixUser(0), &context, &call, no_reply,
      [&](const CallContext& caller) {
        EXPECT_EQ(caller.deadline.Remaining(), absl::InfiniteDuration());
        EXPECT_EQ(caller.caller, Caller::UnixUser(0));
        return absl::NotFoundError("gone");
      });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST(RpcTest, API_1_AnUnknownCallerIsDeniedBeforeTheBodyRuns) {
  grpc::ServerContext context;
  for (const char* name : {"Version", "RunPodSandbox", "NoSuchCall"}) {
    RpcCall call{.service = "runtime.v1.RuntimeService", .name = name};
    const auto body = [](const CallContext&) {
      ADD_FAILURE() << "the body ran";
      return absl::OkStatus();
    };
    EXPECT_EQ(RunRpc(&context, &call, nullptr, body).error_code(),
              grpc::StatusCode::PERMISSION_DENIED)
        << name;
  }
  RpcCall unknown{.service = "runtime.v1.RuntimeService", .name = "NoSuchCall"};
  EXPECT_EQ(RunRpcAs(Caller::UnixUser(0), &context, &unknown, nullptr,
                     [](const CallContext&) { return absl::OkStatus(); })
                .error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
}

// A server inside this process, whose connections have no caller.
class InProcess {
 public:
  explicit InProcess(grpc::Service* service) {
    grpc::ServerBuilder builder;
    builder.RegisterService(service);
    server_ = builder.BuildAndStart();
  }
  std::shared_ptr<grpc::Channel> Channel() {
    return server_->InProcessChannel({});
  }

 private:
  std::unique_ptr<grpc::Server> server_;
};

TEST(RpcTest, API_1_HealthIsDeniedToAnUnknownCaller) {
  HealthService service({});
  InProcess server(&service);
  const auto stub = grpc::health::v1::Health::NewStub(server.Channel());
  grpc::health::v1::HealthCheckResponse reply;
  grpc::ClientContext check;
  EXPECT_EQ(stub->Check(&check, {}, &reply).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  grpc::ClientContext watch;
  const auto reader = stub->Watch(&watch, {});
  EXPECT_FALSE(reader->Read(&reply));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

namespace node = ::warren::node::v1;

// Calls `body` as root would.
class RootsCall final : public node::NodeService::Service {
 public:
  std::function<absl::Status(const CallContext&)> body;

  grpc::Status InspectPodSandbox(grpc::ServerContext* context,
                                 const node::InspectPodSandboxRequest*,
                                 node::InspectPodSandboxResponse*) override {
    RpcCall call{.service = node::NodeService::service_full_name(),
                 .name = "InspectPodSandbox"};
    return RunRpcAs(Caller::UnixUser(0), context, &call, nullptr, body);
  }
};

TEST(RpcTest, REL_12_TheBodyHasTheDeadlineAndTheCancellationOfTheCall) {
  RootsCall service;
  InProcess server(&service);
  const auto stub = node::NodeService::NewStub(server.Channel());
  const auto ask = [&](grpc::ClientContext* context) {
    node::InspectPodSandboxResponse reply;
    return stub->InspectPodSandbox(context, {}, &reply).error_code();
  };
  service.body = [](const CallContext& call) {
    EXPECT_EQ(call.deadline.Remaining(), absl::InfiniteDuration());
    return call.deadline.Check();
  };
  grpc::ClientContext forever;
  EXPECT_EQ(ask(&forever), grpc::StatusCode::OK);

  service.body = [](const CallContext& call) {
    EXPECT_GT(call.deadline.Remaining(), absl::Minutes(1));
    EXPECT_LE(call.deadline.Remaining(), absl::Minutes(11));
    return call.deadline.Check();
  };
  grpc::ClientContext minutes;
  minutes.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::minutes(10));
  EXPECT_EQ(ask(&minutes), grpc::StatusCode::OK);

  // A client that goes ends the wait of the body.
  std::atomic<bool> waits = false;
  std::atomic<bool> told = false;
  service.body = [&](const CallContext& call) {
    waits = true;
    absl::Status status;
    while ((status = call.deadline.Check()).ok()) std::this_thread::yield();
    told = absl::IsCancelled(status);
    return status;
  };
  grpc::ClientContext goes;
  std::thread client(
      [&] { EXPECT_EQ(ask(&goes), grpc::StatusCode::CANCELLED); });
  while (!waits) std::this_thread::yield();
  goes.TryCancel();
  client.join();
  while (CallsUnderWay() > 0) std::this_thread::yield();
  EXPECT_TRUE(told);
}

}  // namespace
}  // namespace warren::agent
