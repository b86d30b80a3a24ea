// cri_bench: one workload against any CRI endpoints, and against the floor,
// in turns. See README.md for what is measured; --help for the options.
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/bench/samples.h"
#include "tests/bench/workload.h"
#include "tests/support/command.h"
#include "tests/support/host_file.h"
#include "tests/support/pod_configs.h"

namespace warren::bench {
namespace {

constexpr char kUsage[] =
    R"(usage: cri_bench --endpoint NAME=SOCKET[,CGROUP] … [options]
  --endpoint  one for each server; CGROUP as ServerCost wants it. Pods get
              CGROUP/pods as their parent, or none without CGROUP
  --floor P   the program `floor`, run once a round
  --image R   image of the containers (warren.local/busybox:latest)
  --logs D    directory for container logs (/tmp/cri_bench_logs)
  --pods N    pods a round (10)
  --rounds N  rounds; endpoints take turns within each (5)
  --at-once L numbers of calls at once, comma-separated (1,8)
  --json F    write the figures there, "-" = stdout
)";

struct Endpoint {
  std::unique_ptr<Workload> workload;
  std::string cgroup;
  std::map<int, Operations> by_parallel;
  Samples base_kib;     // one a round, KiB instead of ms
  Samples per_pod_kib;  // the same
};

struct Bench {
  std::vector<Endpoint> endpoints;
  Operations floor;
  std::string floor_program;
  WorkloadOptions options;
  int rounds = 5;
  std::vector<int> at_once = {1, 8};
  std::string json_file;
};

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "cri_bench: %s\n", why.c_str());
  std::exit(1);
}

int ToInt(absl::string_view text) {
  int value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < 1) {
    Die(absl::StrCat("not a positive number: ", text));
  }
  return value;
}

void AddEndpoint(const std::string& text, Bench* bench) {
  const std::vector<std::string> name =
      absl::StrSplit(text, absl::MaxSplits('=', 1));
  if (name.size() != 2) Die("--endpoint wants NAME=SOCKET[,CGROUP]");
  const std::vector<std::string> rest =
      absl::StrSplit(name[1], absl::MaxSplits(',', 1));
  Endpoint endpoint;
  endpoint.cgroup = rest.size() > 1 ? rest[1] : "";
  auto workload = Workload::Connect(name[0], rest[0], endpoint.cgroup);
  if (!workload.ok()) Die(workload.status().ToString());
  endpoint.workload = std::move(*workload);
  std::fprintf(stderr, "%s: %s\n", name[0].c_str(),
               endpoint.workload->Describe().c_str());
  bench->endpoints.push_back(std::move(endpoint));
}

void ParseOption(const std::string& key, const std::string& value,
                 Bench* bench) {
  if (key == "--endpoint") {
    AddEndpoint(value, bench);
  } else if (key == "--floor") {
    bench->floor_program = value;
  } else if (key == "--image") {
    bench->options.image = value;
  } else if (key == "--logs") {
    bench->options.log_root = value;
  } else if (key == "--pods") {
    bench->options.pods = ToInt(value);
  } else if (key == "--rounds") {
    bench->rounds = ToInt(value);
  } else if (key == "--at-once") {
    bench->at_once.clear();
    for (const auto& word : absl::StrSplit(value, ',')) {
      bench->at_once.push_back(ToInt(word));
    }
  } else if (key == "--json") {
    bench->json_file = value;
  } else {
    Die(absl::StrCat("unknown option ", key, "\n", kUsage));
  }
}

// Lines "operation microseconds" of the floor program.
void RunFloor(Bench* bench) {
  const test::CommandResult result = test::RunCommand(
      {bench->floor_program, std::to_string(bench->options.pods)});
  if (result.exit_code != 0) Die("floor: " + result.err);
  for (const auto& line : absl::StrSplit(result.out, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    double microseconds = 0;
    if (words.size() == 2 && absl::SimpleAtod(words[1], &microseconds)) {
      bench->floor[words[0]].Add(absl::Microseconds(microseconds));
    }
  }
}

void RunRound(int parallel, Bench* bench) {
  WorkloadOptions options = bench->options;
  options.parallel = parallel;
  if (parallel > options.pods) options.pods = parallel;
  for (Endpoint& endpoint : bench->endpoints) {
    options.cgroup_parent =
        endpoint.cgroup.empty() ? "" : endpoint.cgroup + "/pods";
    auto round = endpoint.workload->RunRound(options);
    if (!round.ok()) Die(round.status().ToString());
    for (const auto& [operation, samples] : round->operations) {
      endpoint.by_parallel[parallel][operation].Append(samples);
    }
    endpoint.base_kib.milliseconds.push_back(round->base_pss_kib);
    endpoint.per_pod_kib.milliseconds.push_back(round->per_pod_pss_kib);
  }
}

void PrintTable(const Bench& bench) {
  std::fputs(TableHead().c_str(), stdout);
  for (const char* operation : kOperations) {
    for (const Endpoint& endpoint : bench.endpoints) {
      for (const auto& [parallel, operations] : endpoint.by_parallel) {
        std::fputs(TableLine(endpoint.workload->name(), operation, parallel,
                             operations.at(operation))
                       .c_str(),
                   stdout);
      }
    }
    const auto floor = bench.floor.find(operation);
    if (floor == bench.floor.end()) continue;
    std::fputs(TableLine("floor", operation, 1, floor->second).c_str(), stdout);
  }
  for (const Endpoint& endpoint : bench.endpoints) {
    std::printf("%-11s memory: %.0f KiB with no pod, %.0f KiB a pod (Pss)\n",
                endpoint.workload->name().c_str(),
                endpoint.base_kib.Percentile(0.5),
                endpoint.per_pod_kib.Percentile(0.5));
  }
}

// {"1":{…},"8":{…}}
std::string ByParallel(const Endpoint& endpoint, const char* operation) {
  std::vector<std::string> parts;
  for (const auto& [parallel, operations] : endpoint.by_parallel) {
    parts.push_back(
        absl::StrCat("\"", parallel, "\":", Json(operations.at(operation))));
  }
  return absl::StrCat("{", absl::StrJoin(parts, ","), "}");
}

// "warren": p50 at one call at once, …, "ratio": first endpoint over second.
std::string Summary(const std::vector<double>& values, const Bench& bench,
                    const char* unit) {
  std::vector<std::string> parts = {absl::StrCat("\"unit\":\"", unit, "\"")};
  for (size_t i = 0; i < values.size(); ++i) {
    parts.push_back(absl::StrCat("\"", bench.endpoints[i].workload->name(),
                                 "\":", Number(values[i])));
  }
  if (values.size() > 1 && values[1] > 0) {
    parts.push_back(absl::StrCat("\"ratio\":", Number(values[0] / values[1])));
  }
  return absl::StrJoin(parts, ",");
}

std::string ToJson(const Bench& bench) {
  std::vector<std::string> keys;
  for (const char* operation : kOperations) {
    std::vector<double> medians;
    std::vector<std::string> details;
    for (const Endpoint& endpoint : bench.endpoints) {
      medians.push_back(
          endpoint.by_parallel.begin()->second.at(operation).Percentile(0.5));
      details.push_back(absl::StrCat("\"", endpoint.workload->name(),
                                     "\":", ByParallel(endpoint, operation)));
    }
    std::string line = Summary(medians, bench, "ms");
    const auto floor = bench.floor.find(operation);
    if (floor != bench.floor.end()) {
      absl::StrAppend(&line,
                      ",\"floor\":", Number(floor->second.Percentile(0.5)));
      details.push_back(
          absl::StrCat("\"floor\":{\"1\":", Json(floor->second), "}"));
    }
    keys.push_back(absl::StrCat("\"", operation, "\":{", line, ",\"details\":{",
                                absl::StrJoin(details, ","), "}}"));
  }
  std::vector<double> memory;
  std::vector<std::string> base;
  for (const Endpoint& endpoint : bench.endpoints) {
    memory.push_back(endpoint.per_pod_kib.Percentile(0.5));
    base.push_back(absl::StrCat("\"", endpoint.workload->name(), "\":",
                                Number(endpoint.base_kib.Percentile(0.5))));
  }
  keys.push_back(
      absl::StrCat("\"memory_per_pod\":{", Summary(memory, bench, "KiB Pss"),
                   ",\"with_no_pod\":{", absl::StrJoin(base, ","), "}}"));
  return absl::StrCat("{", absl::StrJoin(keys, ",\n "), "}\n");
}

int Main(int argc, char** argv) {
  Bench bench;
  bench.options.image = test::kBusybox;
  bench.options.log_root = "/tmp/cri_bench_logs";
  for (int i = 1; i < argc; i += 2) {
    if (std::string(argv[i]) == "--help") return std::fputs(kUsage, stdout), 0;
    if (i + 1 >= argc) Die(absl::StrCat(argv[i], " wants a value"));
    ParseOption(argv[i], argv[i + 1], &bench);
  }
  if (bench.endpoints.empty()) Die(kUsage);
  mkdir(bench.options.log_root.c_str(), 0755);
  for (int round = 0; round < bench.rounds; ++round) {
    if (!bench.floor_program.empty()) RunFloor(&bench);
    for (const int parallel : bench.at_once) RunRound(parallel, &bench);
  }
  PrintTable(bench);
  const std::string json = ToJson(bench);
  if (bench.json_file == "-") {
    std::fputs(json.c_str(), stdout);
  } else if (!bench.json_file.empty()) {
    if (!test::WriteHostFile(bench.json_file, json)) {
      Die("cannot write " + bench.json_file);
    }
  }
  return 0;
}

}  // namespace
}  // namespace warren::bench

int main(int argc, char** argv) { return warren::bench::Main(argc, argv); }
