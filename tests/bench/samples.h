#ifndef WARREN_TESTS_BENCH_SAMPLES_H_
#define WARREN_TESTS_BENCH_SAMPLES_H_

#include <absl/time/time.h>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

// What the benches collect, and how it is printed.
namespace warren::bench {

// The operations of a bench in the order they run; keys of the JSON.
inline constexpr const char* kOperations[] = {"run_pod_sandbox", "create_start",
                                              "exec_sync", "stop_remove"};

// Durations of one operation and the CPU time all of them cost the server.
// Thread-compatible.
struct Samples {
  std::vector<double> milliseconds;
  double cpu_seconds = 0;

  void Add(absl::Duration duration) {
    milliseconds.push_back(absl::ToDoubleMilliseconds(duration));
  }
  void Append(const Samples& other);
  // Nearest rank; 0 without samples. `fraction` 0.5 = median, 1 = maximum.
  double Percentile(double fraction) const;
  double CpuMillisecondsEach() const;
};

// Samples by operation.
using Operations = std::map<std::string, Samples>;

// One line of the table: "containerd  run_pod_sandbox  x16  n  p50 …".
std::string TableLine(const std::string& who, const std::string& operation,
                      int parallel, const Samples& samples);
std::string TableHead();

// {"n":…,"p50_ms":…,"p90_ms":…,"p99_ms":…,"max_ms":…,"cpu_ms":…}
std::string Json(const Samples& samples);

// "1.234", without an exponent, for JSON.
std::string Number(double value);

}  // namespace warren::bench

#endif  // WARREN_TESTS_BENCH_SAMPLES_H_
