#include "agent/api/health_service.h"

#include <absl/strings/str_cat.h>

#include <optional>
#include <utility>

#include "agent/api/rpc.h"
#include "agent/caller/access.h"
#include "agent/transport/caller_acceptors.h"

namespace warren::agent {
namespace {

using ::grpc::health::v1::HealthCheckRequest;
using ::grpc::health::v1::HealthCheckResponse;
using ServingStatus = HealthCheckResponse::ServingStatus;

// A Watch that ends before it has begun.
class RefusedWatch : public ::grpc::ServerWriteReactor<HealthCheckResponse> {
 public:
  explicit RefusedWatch(const ::grpc::Status& why) { Finish(why); }
  void OnDone() override { delete this; }
};

}  // namespace

// One Watch call: at most one write under way, always the newest status.
class HealthService::Watcher
    : public ::grpc::ServerWriteReactor<HealthCheckResponse> {
 public:
  Watcher(HealthService* service, bool known)
      : service_(service), known_(known) {}

  // The status has changed, or the service ends. The service's mutex is held.
  void NotifyLocked() {
    service_->mutex_.AssertHeld();
    if (writing_ || finished_) return;
    if (service_->shutdown_) {
      finished_ = true;
      Finish(::grpc::Status(::grpc::StatusCode::UNAVAILABLE,
                            "the daemon is stopping"));
      return;
    }
    const ServingStatus now = !known_ ? HealthCheckResponse::SERVICE_UNKNOWN
                              : service_->serving_
                                  ? HealthCheckResponse::SERVING
                                  : HealthCheckResponse::NOT_SERVING;
    if (sent_ == now) return;
    sent_ = now;
    reply_.set_status(now);
    writing_ = true;
    StartWrite(&reply_);
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&service_->mutex_);
    writing_ = false;
    if (!ok || cancelled_) {
      FinishLocked();
    } else {
      NotifyLocked();
    }
  }

  void OnCancel() override {
    absl::MutexLock lock(&service_->mutex_);
    cancelled_ = true;
    if (!writing_) FinishLocked();  // else once the write is done
  }

  void OnDone() override {
    {
      absl::MutexLock lock(&service_->mutex_);
      service_->watchers_.erase(this);
    }
    delete this;
  }

 private:
  void FinishLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(service_->mutex_) {
    if (std::exchange(finished_, true)) return;
    Finish(::grpc::Status(::grpc::StatusCode::CANCELLED, "cancelled"));
  }

  HealthService* const service_;
  const bool known_;
  HealthCheckResponse reply_ ABSL_GUARDED_BY(service_->mutex_);
  std::optional<ServingStatus> sent_ ABSL_GUARDED_BY(service_->mutex_);
  bool writing_ ABSL_GUARDED_BY(service_->mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(service_->mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(service_->mutex_) = false;
};

HealthService::HealthService(std::set<std::string> services)
    : services_(std::move(services)) {}

bool HealthService::Known(const std::string& service) const {
  return service.empty() || services_.count(service) != 0;
}

void HealthService::SetServing(bool serving) {
  absl::MutexLock lock(&mutex_);
  if (shutdown_) return;
  serving_ = serving;
  for (Watcher* watcher : watchers_) watcher->NotifyLocked();
}

void HealthService::Shutdown() {
  absl::MutexLock lock(&mutex_);
  serving_ = false;
  shutdown_ = true;
  for (Watcher* watcher : watchers_) watcher->NotifyLocked();
}

::grpc::Status HealthService::Check(::grpc::ServerContext* context,
                                    const HealthCheckRequest* request,
                                    HealthCheckResponse* reply) {
  RpcCall call{.service = ::grpc::health::v1::Health::service_full_name(),
               .name = "Check",
               .object = request->service()};
  return RunRpc(context, &call, reply, [&](const CallContext&) -> absl::Status {
    if (!Known(request->service())) {
      return absl::NotFoundError("no such service");
    }
    absl::MutexLock lock(&mutex_);
    reply->set_status(serving_ ? HealthCheckResponse::SERVING
                               : HealthCheckResponse::NOT_SERVING);
    return absl::OkStatus();
  });
}

::grpc::ServerWriteReactor<HealthCheckResponse>* HealthService::Watch(
    ::grpc::CallbackServerContext* context, const HealthCheckRequest* request) {
  const absl::Status may = MayCall(
      CallerOf(*context),
      absl::StrCat(::grpc::health::v1::Health::service_full_name(), "/Watch"));
  if (!may.ok()) return new RefusedWatch(ToGrpcStatus(may));
  auto* watcher = new Watcher(this, Known(request->service()));
  absl::MutexLock lock(&mutex_);
  watchers_.insert(watcher);
  watcher->NotifyLocked();
  return watcher;
}

}  // namespace warren::agent
