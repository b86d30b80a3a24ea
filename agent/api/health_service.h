#ifndef WARREN_AGENT_API_HEALTH_SERVICE_H_
#define WARREN_AGENT_API_HEALTH_SERVICE_H_

#include <absl/base/thread_annotations.h>
#include <absl/synchronization/mutex.h>

#include <set>
#include <string>

#include "grpc/health/v1/health.grpc.pb.h"

namespace warren::agent {

// The standard health service, our own because Debian's gRPC 1.51 lists its
// built-in one in reflection but cannot describe it. Knows the name "" and
// those of the services it was given; all are SERVING together. An unknown
// name: Check is NOT_FOUND, Watch says SERVICE_UNKNOWN.
//
// Check is a synchronous call; Watch is a callback, so that clients that watch
// cost no thread. Thread-safe. Must outlive the gRPC server.
class HealthService
    : public ::grpc::health::v1::Health::WithCallbackMethod_Watch<
          ::grpc::health::v1::Health::Service> {
 public:
  explicit HealthService(std::set<std::string> services);

  // NOT_SERVING from birth; every watcher is told of a change.
  void SetServing(bool serving);
  // NOT_SERVING for good, and every Watch ends; for the time before
  // grpc::Server::Shutdown, which waits for open calls.
  void Shutdown();

  ::grpc::Status Check(::grpc::ServerContext* context,
                       const ::grpc::health::v1::HealthCheckRequest* request,
                       ::grpc::health::v1::HealthCheckResponse* reply) override;
  ::grpc::ServerWriteReactor<::grpc::health::v1::HealthCheckResponse>* Watch(
      ::grpc::CallbackServerContext* context,
      const ::grpc::health::v1::HealthCheckRequest* request) override;

 private:
  class Watcher;

  bool Known(const std::string& service) const;

  const std::set<std::string> services_;
  absl::Mutex mutex_;
  bool serving_ ABSL_GUARDED_BY(mutex_) = false;
  bool shutdown_ ABSL_GUARDED_BY(mutex_) = false;
  // Each leaves the set in its OnDone, then deletes itself.
  std::set<Watcher*> watchers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_API_HEALTH_SERVICE_H_
