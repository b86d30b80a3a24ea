#include "agent/transport/server.h"

#include <absl/time/clock.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>

#include "runtime/base/status.h"

namespace warren::agent {
namespace {

// Streams that one connection may have open; a kubelet multiplexes all its
// calls over one. Above it the client keeps its calls back, reads too: so it is
// more than calls of all classes are admitted.
constexpr int kMaxStreams = 8000;
constexpr int kMaxMetadataBytes = 8 * 1024;
// Threads that wait for the next call and take it: enough that a burst finds
// one without creating it.
constexpr int kMinPollers = 1;
constexpr int kMaxPollers = 8;
constexpr absl::Duration kDrainPoll = absl::Milliseconds(20);

void SetLimits(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder->SetMaxSendMessageSize(kMaxMessageBytes);
  builder->AddChannelArgument(
      GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
      static_cast<int>(absl::ToInt64Milliseconds(kHandshakeTimeout)));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder->SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, kMinPollers);
  builder->SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, kMaxPollers);
  grpc::ResourceQuota quota("warrend");
  quota.SetMaxThreads(kMaxRpcThreads);
  builder->SetResourceQuota(quota);
}

// Which process it was; calls only say which user (API-9).
void LogConnection(const ucred& process) {
  spdlog::info("connection uid={} gid={} pid={}", process.uid, process.gid,
               process.pid);
}

// Of CLOCK_MONOTONIC: gRPC takes both clocks.
gpr_timespec FromNow(absl::Duration patience) {
  return gpr_time_add(
      gpr_now(GPR_CLOCK_MONOTONIC),
      gpr_time_from_nanos(absl::ToInt64Nanoseconds(patience), GPR_TIMESPAN));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    const std::vector<Endpoint>& endpoints,
    const std::vector<grpc::Service*>& services) {
  std::unique_ptr<Server> server(new Server);
  server->Serve(services);
  if (server->server_ == nullptr) {
    return absl::InternalError("the gRPC server did not start");
  }
  const UnixListener::Sink sink = [acceptors = server->acceptors_.get()](
                                      base::UniqueFd connection,
                                      const Caller& caller,
                                      const ucred& process) {
    LogConnection(process);
    acceptors->HandOver(std::move(connection), caller);
  };
  for (const Endpoint& endpoint : endpoints) {
    ASSIGN_OR_RETURN(std::unique_ptr<UnixListener> listener,
                     UnixListener::Start(endpoint, sink));
    server->listeners_.push_back(std::move(listener));
  }
  return server;
}

void Server::Serve(const std::vector<grpc::Service*>& services) {
  static const bool once = [] {
    grpc::EnableDefaultHealthCheckService(false);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  (void)once;
  grpc::ServerBuilder builder;
  SetLimits(&builder);
  acceptors_ = std::make_unique<CallerAcceptors>(&builder);
  for (grpc::Service* service : services) builder.RegisterService(service);
  server_ = builder.BuildAndStart();
}

Server::~Server() {
  if (server_ != nullptr) Drain(absl::ZeroDuration(), [] { return 0; });
}

void Server::Drain(absl::Duration patience,
                   const std::function<int()>& calls_under_way) {
  for (const auto& listener : listeners_) listener->Stop();
  std::atomic<bool> done = false;
  // Refuses new calls at once, then waits for those under way and for every
  // client to hang up; idle clients may take their time with that.
  std::thread shutdown([&] {
    server_->Shutdown(FromNow(patience));
    done = true;
  });
  bool idle = false;
  while (!done) {
    const bool was_idle = std::exchange(idle, calls_under_way() == 0);
    // Twice in a row: replies of the last calls are on their way.
    if (was_idle && idle) {
      for (const auto& listener : listeners_) listener->HangUp();
    }
    absl::SleepFor(kDrainPoll);
  }
  shutdown.join();
  server_.reset();
}

}  // namespace warren::agent
