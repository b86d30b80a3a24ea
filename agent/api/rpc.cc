#include "agent/api/rpc.h"

#include <absl/time/time.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>

#include "agent/api/request_bounds.h"
#include "agent/cri/text.h"
#include "agent/transport/peer_acceptors.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

absl::string_view CodeName(absl::StatusCode code) {
  static const auto* const names = new std::string[17]{
      "OK",
      "CANCELLED",
      "UNKNOWN",
      "INVALID_ARGUMENT",
      "DEADLINE_EXCEEDED",
      "NOT_FOUND",
      "ALREADY_EXISTS",
      "PERMISSION_DENIED",
      "RESOURCE_EXHAUSTED",
      "FAILED_PRECONDITION",
      "ABORTED",
      "OUT_OF_RANGE",
      "UNIMPLEMENTED",
      "INTERNAL",
      "UNAVAILABLE",
      "DATA_LOSS",
      "UNAUTHENTICATED",
  };
  const int number = static_cast<int>(code);
  return number >= 0 && number < 17 ? names[number] : names[2];
}

std::atomic<int> calls_under_way{0};

CallContext MakeCallContext(grpc::ServerContext* context) {
  CallContext call;
  const auto deadline = context->deadline();
  if (deadline != std::chrono::system_clock::time_point::max()) {
    call.deadline = absl::FromChrono(deadline);
  }
  call.cancelled = [context] { return context->IsCancelled(); };
  return call;
}

void Log(const grpc::ServerContext& context, const RpcCall& call,
         const absl::Status& status, absl::Duration took) {
  const bool failed = !status.ok() && !absl::IsUnimplemented(status);
  const auto level =
      call.mutating || failed ? spdlog::level::info : spdlog::level::debug;
  if (!spdlog::should_log(level)) return;
  std::string line =
      fmt::format("rpc={} id={} code={} ms={:.1f} peer={}",
                  fmt::string_view(call.name.data(), call.name.size()),
                  LogValue(call.object),
                  fmt::string_view(CodeName(status.code()).data(),
                                   CodeName(status.code()).size()),
                  absl::ToDoubleMilliseconds(took), LogValue(PeerOf(context)));
  if (!call.detail.empty()) line += " detail=" + LogValue(call.detail);
  if (!status.ok()) {
    line += " error=" + LogValue(status.message(), kMaxStatusText);
    if (const int error = base::GetErrno(status); error != 0) {
      line += fmt::format(" errno={}", error);
    }
  }
  spdlog::log(level, "{}", line);
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.raw_code()),
                      OneLine(status.message(), kMaxStatusText));
}

grpc::Status RunRpc(grpc::ServerContext* context, RpcCall* call,
                    google::protobuf::Message* reply,
                    absl::FunctionRef<absl::Status(const CallContext&)> body) {
  const base::Clock& clock = base::SystemClock();
  const int64_t start = clock.MonotonicNow();
  ++calls_under_way;
  absl::Status status =
      call->request == nullptr ? absl::OkStatus() : CheckBounds(*call->request);
  if (status.ok()) status = body(MakeCallContext(context));
  --calls_under_way;
  if (status.ok() && reply != nullptr) CleanStrings(reply);
  Log(*context, *call, status, absl::Nanoseconds(clock.MonotonicNow() - start));
  return ToGrpcStatus(status);
}

int CallsUnderWay() { return calls_under_way; }

}  // namespace warren::agent
