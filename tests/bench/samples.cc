#include "tests/bench/samples.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include <algorithm>
#include <cmath>

namespace warren::bench {

void Samples::Append(const Samples& other) {
  milliseconds.insert(milliseconds.end(), other.milliseconds.begin(),
                      other.milliseconds.end());
  cpu_seconds += other.cpu_seconds;
}

double Samples::Percentile(double fraction) const {
  if (milliseconds.empty()) return 0;
  std::vector<double> sorted = milliseconds;
  std::sort(sorted.begin(), sorted.end());
  const double rank = std::ceil(fraction * static_cast<double>(sorted.size()));
  return sorted[std::max<size_t>(1, static_cast<size_t>(rank)) - 1];
}

double Samples::CpuMillisecondsEach() const {
  if (milliseconds.empty()) return 0;
  return cpu_seconds * 1000 / static_cast<double>(milliseconds.size());
}

std::string Number(double value) { return absl::StrFormat("%.4f", value); }

std::string TableHead() {
  return absl::StrFormat("%-11s %-16s %5s %5s %9s %9s %9s %9s %9s\n", "who",
                         "operation", "once", "n", "p50 ms", "p90 ms", "p99 ms",
                         "max ms", "cpu ms");
}

std::string TableLine(const std::string& who, const std::string& operation,
                      int parallel, const Samples& samples) {
  return absl::StrFormat("%-11s %-16s %5d %5d %9.3f %9.3f %9.3f %9.3f %9.3f\n",
                         who, operation, parallel, samples.milliseconds.size(),
                         samples.Percentile(0.5), samples.Percentile(0.9),
                         samples.Percentile(0.99), samples.Percentile(1.0),
                         samples.CpuMillisecondsEach());
}

std::string Json(const Samples& samples) {
  return absl::StrCat("{\"n\":", samples.milliseconds.size(),
                      ",\"p50_ms\":", Number(samples.Percentile(0.5)),
                      ",\"p90_ms\":", Number(samples.Percentile(0.9)),
                      ",\"p99_ms\":", Number(samples.Percentile(0.99)),
                      ",\"max_ms\":", Number(samples.Percentile(1.0)),
                      ",\"cpu_ms\":", Number(samples.CpuMillisecondsEach()),
                      "}");
}

}  // namespace warren::bench
