#include "agent/api/rpc.h"

#include <absl/strings/str_cat.h>
#include <absl/time/time.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>

#include "agent/api/request_bounds.h"
#include "agent/caller/access.h"
#include "agent/caller/admission.h"
#include "agent/cri/text.h"
#include "agent/transport/caller_acceptors.h"
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

Admission& Admissions() {
  static auto& admission = *new Admission(kAdmissionLimits);
  return admission;
}

// Whether the call may begin at all; then it has a place until it ends.
absl::StatusOr<Admission::Place> Admit(const Caller& caller,
                                       const RpcCall& call) {
  const std::string rpc = absl::StrCat(call.service, "/", call.name);
  RETURN_IF_ERROR(MayCall(caller, rpc));
  if (call.request != nullptr) RETURN_IF_ERROR(CheckBounds(*call.request));
  return Admissions().Admit(ClassOf(rpc).value_or(CallClass::kChange));
}

// gRPC gives the deadline as a time of the wall clock, though what the client
// sent is a duration.
base::Deadline DeadlineOf(grpc::ServerContext* context) {
  using WallClock = std::chrono::system_clock;
  const WallClock::time_point end = context->deadline();
  const base::Deadline deadline =
      end == WallClock::time_point::max()
          ? base::Deadline::Never()
          : base::Deadline::After(absl::FromChrono(end - WallClock::now()));
  return deadline.CancelledBy([context] { return context->IsCancelled(); });
}

void Log(const Caller& caller, const RpcCall& call, const absl::Status& status,
         absl::Duration took) {
  const bool failed = !status.ok() && !absl::IsUnimplemented(status);
  const auto level =
      call.mutating || failed ? spdlog::level::info : spdlog::level::debug;
  if (!spdlog::should_log(level)) return;
  std::string line =
      fmt::format("rpc={} id={} code={} ms={:.1f} caller={}",
                  fmt::string_view(call.name.data(), call.name.size()),
                  LogValue(call.object),
                  fmt::string_view(CodeName(status.code()).data(),
                                   CodeName(status.code()).size()),
                  absl::ToDoubleMilliseconds(took), LogValue(caller.Name()));
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
  return RunRpcAs(CallerOf(*context), context, call, reply, body);
}

grpc::Status RunRpcAs(
    const Caller& caller, grpc::ServerContext* context, RpcCall* call,
    google::protobuf::Message* reply,
    absl::FunctionRef<absl::Status(const CallContext&)> body) {
  const base::Clock& clock = base::SystemClock();
  const int64_t start = clock.MonotonicNow();
  ++calls_under_way;
  const absl::StatusOr<Admission::Place> place = Admit(caller, *call);
  absl::Status status = place.status();
  if (status.ok()) {
    status = body({.deadline = DeadlineOf(context), .caller = caller});
  }
  --calls_under_way;
  if (status.ok() && reply != nullptr) CleanStrings(reply);
  Log(caller, *call, status, absl::Nanoseconds(clock.MonotonicNow() - start));
  return ToGrpcStatus(status);
}

int CallsUnderWay() { return calls_under_way; }

}  // namespace warren::agent
