// A server with the daemon's own accept loop and a tiny service, in a process
// of its own so that a test can take its descriptors away.
//
// usage: server_test_daemon SOCKET[,SOCKET] MAX_CONNECTIONS FD_LIMIT [GID]
// FD_LIMIT descriptors may be open beside those at the start; 0 = no limit.
// Prints "ready", then "slow" for each slow call; serves until standard input
// ends, drains.
#include <absl/strings/str_split.h>
#include <dirent.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "agent/api/health_service.h"
#include "agent/api/rpc.h"
#include "agent/transport/server.h"
#include "warren/node/v1/node.grpc.pb.h"

namespace warren::agent {
namespace {

namespace api = ::warren::node::v1;

void Say(const char* line) {
  puts(line);
  fflush(stdout);
}

// Says how long the id in the request was; "slow" waits for the caller to go.
class TinyService final : public api::NodeService::Service {
 public:
  grpc::Status InspectPodSandbox(
      grpc::ServerContext* context,
      const api::InspectPodSandboxRequest* request,
      api::InspectPodSandboxResponse* reply) override {
    RpcCall call{.service = api::NodeService::service_full_name(),
                 .name = "InspectPodSandbox"};
    return RunRpc(context, &call, reply,
                  [&](const CallContext& caller) -> absl::Status {
                    const std::string& id = request->pod_sandbox_id();
                    if (id == "slow") Say("slow");
                    while (id == "slow" && caller.deadline.Check().ok())
                      usleep(1000);
                    if (id == "big") {
                      reply->mutable_pod()->set_id(std::string(1 << 20, 'x'));
                    }
                    reply->mutable_pod()->set_name("a\xFF");
                    reply->mutable_pod()->set_boottime_offset_ns(id.size());
                    return absl::OkStatus();
                  });
  }
};

int OpenDescriptors() {
  int count = 0;
  DIR* directory = opendir("/proc/self/fd");
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count - 3;  // ".", ".." and the directory itself
}

int Main(int argc, char** argv) {
  if (argc < 4) return 2;
  spdlog::set_level(spdlog::level::off);  // standard output is the test's
  signal(SIGPIPE, SIG_IGN);               // nobody may be reading
  std::vector<Endpoint> endpoints;
  for (const absl::string_view socket : absl::StrSplit(argv[1], ',')) {
    Endpoint& endpoint = endpoints.emplace_back();
    endpoint.socket = std::string(socket);
    endpoint.max_connections = atoi(argv[2]);
    if (argc > 4) endpoint.group = atoi(argv[4]);
  }
  TinyService service;
  HealthService health({"warren.node.v1.NodeService"});
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(endpoints, {&service, &health});
  if (!server.ok()) {
    puts(server.status().ToString().c_str());
    return 1;
  }
  health.SetServing(true);
  if (const int limit = atoi(argv[3]); limit > 0) {
    const rlim_t files = OpenDescriptors() + limit;
    const rlimit lowered = {files, files};
    if (setrlimit(RLIMIT_NOFILE, &lowered) != 0) return 1;
  }
  Say("ready");
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  health.Shutdown();
  (*server)->Drain(absl::Seconds(1), CallsUnderWay);
  return 0;
}

}  // namespace
}  // namespace warren::agent

int main(int argc, char** argv) { return warren::agent::Main(argc, argv); }
