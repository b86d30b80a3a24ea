#include "agent/api/rpc.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <deque>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/api/call_pool.h"
#include "agent/api/health_service.h"
#include "agent/caller/admission.h"
#include "agent/cri/text.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "runtime/base/mutex.h"
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

// Calls of the class "exec" that wait until they are told, as root would make
// them.
class WaitingCalls final
    : public node::NodeService::WithCallbackMethod_InspectPodSandbox<
          node::NodeService::Service> {
 public:
  explicit WaitingCalls(CallPool* pool) : pool_(pool) {}
  // While the server lives.
  void EndAll() {
    std::vector<std::function<void()>> wakes;
    {
      const base::MutexLock lock(&mutex_);
      over_ = true;
      wakes = std::move(wakes_);
    }
    for (const auto& wake : wakes) wake();
  }

  grpc::ServerUnaryReactor* InspectPodSandbox(
      grpc::CallbackServerContext* context,
      const node::InspectPodSandboxRequest*,
      node::InspectPodSandboxResponse*) override {
    RpcCall call{.service = "runtime.v1.RuntimeService", .name = "ExecSync"};
    return StartRpcAs(Caller::UnixUser(0), pool_, context, std::move(call),
                      nullptr, [this](const CallContext& caller, RpcCall*) {
                        return std::make_unique<Waits>(this, caller);
                      });
  }

  std::atomic<int> begun = 0;
  std::atomic<int> cancelled = 0;

 private:
  class Waits final : public Steps {
   public:
    Waits(WaitingCalls* calls, const CallContext& caller)
        : calls_(*calls), deadline_(caller.deadline) {}
    absl::StatusOr<std::optional<Pause>> Next() override {
      if (!std::exchange(begun_, true)) ++calls_.begun;
      if (absl::Status gone = deadline_.Check(); !gone.ok()) {
        ++calls_.cancelled;
        return gone;
      }
      const base::MutexLock lock(&calls_.mutex_);
      if (calls_.over_) return std::nullopt;
      Pause pause;
      pause.watch = [this](std::function<void()> wake) {
        const base::MutexLock lock(&calls_.mutex_);
        if (calls_.over_) {
          wake();
        } else {
          calls_.wakes_.push_back(std::move(wake));
        }
        return [] {};
      };
      return pause;
    }

   private:
    WaitingCalls& calls_;
    const base::Deadline deadline_;
    bool begun_ = false;
  };

  CallPool* const pool_;
  base::Mutex mutex_;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::function<void()>> wakes_ ABSL_GUARDED_BY(mutex_);
};

int ThreadsOfThisProcess() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word && word != "Threads:") {
  }
  int threads = 0;
  status >> threads;
  return threads;
}

grpc::Status ReadAsRoot() {
  grpc::ServerContext context;
  RpcCall call{.service = "runtime.v1.RuntimeService", .name = "Version"};
  return RunRpcAs(Caller::UnixUser(0), &context, &call, nullptr,
                  [](const CallContext&) { return absl::OkStatus(); });
}

TEST(RpcTest, REL_12_CallsThatWaitHaveNoThreadAndKeepNoReadOut) {
  auto pool = CallPool::Start();
  ASSERT_TRUE(pool.ok()) << pool.status();
  WaitingCalls service(pool->get());
  {
    InProcess server(&service);
    const auto stub = node::NodeService::NewStub(server.Channel());
    const int most = kAdmissionLimits.Of(CallClass::kExec);
    struct Client {
      grpc::ClientContext context;
      node::InspectPodSandboxResponse reply;
      std::atomic<int> code = -1;
    };
    std::deque<Client> clients(most + 2);
    const auto ask = [&](Client* client) {
      static const node::InspectPodSandboxRequest request;
      stub->async()->InspectPodSandbox(&client->context, &request,
                                       &client->reply,
                                       [client](const grpc::Status& status) {
                                         client->code = status.error_code();
                                       });
    };
    const auto await = [](const Client& client) {
      while (client.code == -1) std::this_thread::yield();
      return static_cast<grpc::StatusCode>(client.code.load());
    };
    for (int i = 0; i < most; ++i) ask(&clients[i]);
    while (service.begun < most) std::this_thread::yield();
    EXPECT_LT(ThreadsOfThisProcess(), most / 2);
    // The class is full, and no other.
    ask(&clients[most]);
    EXPECT_EQ(await(clients[most]), grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_TRUE(ReadAsRoot().ok());
    // A client that goes gives its place back at once: nothing polls here.
    clients[0].context.TryCancel();
    EXPECT_EQ(await(clients[0]), grpc::StatusCode::CANCELLED);
    while (CallsUnderWay() == most) std::this_thread::yield();
    EXPECT_EQ(service.cancelled, 1);
    ask(&clients[most + 1]);
    while (service.begun < most + 1) std::this_thread::yield();
    service.EndAll();
    for (int i = 1; i < most; ++i) {
      EXPECT_EQ(await(clients[i]), grpc::StatusCode::OK) << i;
    }
    EXPECT_EQ(await(clients[most + 1]), grpc::StatusCode::OK);
  }
  EXPECT_EQ(CallsUnderWay(), 0);
}

}  // namespace
}  // namespace warren::agent
