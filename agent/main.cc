// warrend: settle the process, build the node, serve its API, drain.
#include <absl/status/status.h>
#include <grpc/support/log.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "agent/api/call_pool.h"
#include "agent/api/health_service.h"
#include "agent/api/image_service.h"
#include "agent/api/node_service.h"
#include "agent/api/rpc.h"
#include "agent/api/runtime_service.h"
#include "agent/cri/text.h"
#include "agent/host/memory.h"
#include "agent/host/process_setup.h"
#include "agent/node/node.h"
#include "agent/options/options.h"
#include "agent/transport/server.h"

namespace warren::agent {
namespace {

// SIGTERM: calls under way may finish for this long, then they are cancelled;
// at the end of the grace the process ends in any case (REL-27).
constexpr absl::Duration kPatience = absl::Seconds(4);
constexpr absl::Duration kGrace = absl::Seconds(5);

void LogOfGrpc(gpr_log_func_args* args) {
  const auto level = args->severity == GPR_LOG_SEVERITY_ERROR
                         ? spdlog::level::warn
                         : spdlog::level::debug;
  spdlog::log(level, "grpc: {}", OneLine(args->message, 512));
}

void SetUpLog(const std::string& level) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("warrend"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  spdlog::set_level(spdlog::level::from_str(level));
  spdlog::flush_on(spdlog::level::trace);
  gpr_set_log_function(LogOfGrpc);
}

absl::Status Serve(const Options& options, ShutdownSignals* signals) {
  absl::StatusOr<base::UniqueFd> lock = LockState(options.state_dir);
  if (!lock.ok()) return lock.status();
  absl::StatusOr<NodeParts> parts = MakeNodeParts(options);
  if (!parts.ok()) return parts.status();
  absl::StatusOr<std::unique_ptr<Node>> node = Node::Start(
      options, *std::move(parts),
      [](absl::string_view problem) {
        spdlog::error("{}", OneLine(problem, 1024));
      },
      [](absl::string_view note) { spdlog::info("{}", OneLine(note, 1024)); });
  if (!node.ok()) return node.status();
  for (const std::string& note : (*node)->start_notes()) {
    spdlog::info("start: {}", OneLine(note, 1024));
  }
  absl::StatusOr<std::unique_ptr<CallPool>> pool = CallPool::Start();
  if (!pool.ok()) return pool.status();
  const absl::StatusOr<std::unique_ptr<MemoryReturn>> memory =
      MemoryReturn::Start();
  if (!memory.ok()) return memory.status();
  RuntimeService runtime_service(node->get(), pool->get());
  ImageService image_service(&(*node)->images(), pool->get());
  NodeService node_service(node->get());
  HealthService health_service({"runtime.v1.RuntimeService",
                                "runtime.v1.ImageService",
                                "warren.node.v1.NodeService"});
  const Endpoint endpoint = {.socket = options.socket,
                             .group = options.socket_group,
                             .max_connections = options.max_connections};
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(
      {endpoint},
      {&runtime_service, &image_service, &node_service, &health_service});
  if (!server.ok()) return server.status();
  health_service.SetServing(true);
  signals->Serving();
  sd_notify(0, "READY=1");
  spdlog::info("serving socket={} version={}", options.socket, WARREN_VERSION);
  signals->Wait();
  sd_notify(0, "STOPPING=1");
  spdlog::info("draining; pods go on running");
  health_service.Shutdown();
  (*server)->Drain(kPatience, CallsUnderWay);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  const absl::StatusOr<CommandLine> line = ParseCommandLine(argc, argv);
  if (!line.ok()) {
    fprintf(stderr, "warrend: %s\n",
            std::string(line.status().message()).c_str());
    return 2;
  }
  if (!line->output.empty()) {
    fputs(line->output.c_str(), stdout);
    return 0;
  }
  if (line->check_config) {
    puts("warrend: the configuration is good");
    return 0;
  }
  const std::vector<std::string> refused = HardenProcess();
  BoundMemory();
  ShutdownSignals signals(kGrace);
  SetUpLog(line->options.log_level);
  for (const std::string& what : refused) spdlog::warn("start: {}", what);
  const absl::Status served = Serve(line->options, &signals);
  if (!served.ok()) {
    spdlog::error("cannot serve: {}",
                  OneLine(std::string(served.message()), 1024));
    return 1;
  }
  spdlog::info("stopped");
  return 0;
}

}  // namespace
}  // namespace warren::agent

int main(int argc, char** argv) { return warren::agent::Main(argc, argv); }
