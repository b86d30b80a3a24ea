#include "agent/api/rpc.h"

#include <absl/strings/str_cat.h>
#include <absl/time/time.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <stop_token>

#include "agent/api/request_bounds.h"
#include "agent/caller/access.h"
#include "agent/caller/admission.h"
#include "agent/cri/text.h"
#include "agent/host/memory.h"
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
base::Deadline FromWallClock(std::chrono::system_clock::time_point end) {
  using WallClock = std::chrono::system_clock;
  return end == WallClock::time_point::max()
             ? base::Deadline::Never()
             : base::Deadline::After(absl::FromChrono(end - WallClock::now()));
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
    // gRPC tells a synchronous handler of a cancellation only when it asks.
    const base::Deadline deadline =
        FromWallClock(context->deadline()).CancelledBy([context] {
          return context->IsCancelled();
        });
    status = body({.deadline = deadline, .caller = caller});
  }
  --calls_under_way;
  MemoryReturn::CallEnded();
  if (status.ok() && reply != nullptr) CleanStrings(reply);
  Log(caller, *call, status, absl::Nanoseconds(clock.MonotonicNow() - start));
  return ToGrpcStatus(status);
}

namespace {

// A call on the threads of a pool. It belongs to gRPC, which tells it when it
// may go.
class PooledCall final : public grpc::ServerUnaryReactor {
 public:
  PooledCall(CallPool* pool, RpcCall call, google::protobuf::Message* reply,
             BeginSteps begin)
      : pool_(pool),
        call_(std::move(call)),
        reply_(reply),
        begin_(std::move(begin)),
        start_(base::SystemClock().MonotonicNow()) {
    ++calls_under_way;
  }

  // Call once. Afterwards the call may be gone.
  void Begin(const Caller& caller, grpc::CallbackServerContext* context) {
    context_.caller = caller;
    context_.deadline =
        FromWallClock(context->deadline()).CancelledBy(stop_.get_token());
    absl::StatusOr<Admission::Place> place = Admit(caller, call_);
    if (!place.ok()) return End(place.status());
    place_ = *std::move(place);
    class_ = ClassOf(absl::StrCat(call_.service, "/", call_.name))
                 .value_or(CallClass::kChange);
    pool_->Run(class_, [this] { Step(); });
  }

  void OnCancel() override { stop_.request_stop(); }
  void OnDone() override {
    MemoryReturn::CallEnded();
    delete this;
  }

 private:
  void Step() {
    if (steps_ == nullptr) {
      const absl::Status wanted = context_.deadline.Check();
      if (!wanted.ok()) return End(wanted);
      steps_ = begin_(context_, &call_);
    }
    absl::StatusOr<std::optional<Pause>> pause = steps_->Next();
    if (!pause.ok() || !pause->has_value()) return End(pause.status());
    pool_->Park(class_, **std::move(pause), stop_.get_token(),
                [this] { Step(); });
  }

  void End(const absl::Status& status) {
    steps_.reset();
    if (status.ok() && reply_ != nullptr) CleanStrings(reply_);
    Log(context_.caller, call_, status,
        absl::Nanoseconds(base::SystemClock().MonotonicNow() - start_));
    place_ = {};
    --calls_under_way;
    Finish(ToGrpcStatus(status));
  }

  CallPool* const pool_;
  RpcCall call_;
  google::protobuf::Message* const reply_;
  const BeginSteps begin_;
  const int64_t start_;
  std::stop_source stop_;
  CallContext context_;
  CallClass class_ = CallClass::kChange;
  Admission::Place place_;
  std::unique_ptr<Steps> steps_;
};

class OneStep final : public Steps {
 public:
  OneStep(RpcBody body, const CallContext& context, RpcCall* call)
      : body_(std::move(body)), context_(context), call_(call) {}
  absl::StatusOr<std::optional<Pause>> Next() override {
    RETURN_IF_ERROR(body_(context_, call_));
    return std::nullopt;
  }

 private:
  const RpcBody body_;
  const CallContext& context_;
  RpcCall* const call_;
};

}  // namespace

grpc::ServerUnaryReactor* StartRpcAs(const Caller& caller, CallPool* pool,
                                     grpc::CallbackServerContext* context,
                                     RpcCall call,
                                     google::protobuf::Message* reply,
                                     BeginSteps begin) {
  auto* reactor =
      new PooledCall(pool, std::move(call), reply, std::move(begin));
  reactor->Begin(caller, context);
  return reactor;
}

grpc::ServerUnaryReactor* StartRpc(CallPool* pool,
                                   grpc::CallbackServerContext* context,
                                   RpcCall call,
                                   google::protobuf::Message* reply,
                                   BeginSteps begin) {
  return StartRpcAs(CallerOf(*context), pool, context, std::move(call), reply,
                    std::move(begin));
}

grpc::ServerUnaryReactor* StartRpc(CallPool* pool,
                                   grpc::CallbackServerContext* context,
                                   RpcCall call,
                                   google::protobuf::Message* reply,
                                   RpcBody body) {
  return StartRpc(pool, context, std::move(call), reply,
                  BeginSteps([body = std::move(body)](const CallContext& caller,
                                                      RpcCall* which) {
                    return std::make_unique<OneStep>(body, caller, which);
                  }));
}

int CallsUnderWay() { return calls_under_way; }

}  // namespace warren::agent
