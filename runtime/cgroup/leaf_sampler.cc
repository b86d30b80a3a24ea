#include "runtime/cgroup/leaf_sampler.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/string_view.h>
#include <absl/strings/strip.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

constexpr size_t kFirstRead = 4096;
// io.stat has a line for each device.
constexpr size_t kLongestFile = 1 << 20;

// A file of figures; invalid where this kernel has none of that name.
absl::StatusOr<base::UniqueFd> OpenFigures(int leaf, const char* file) {
  if (leaf < 0) return base::UniqueFd();
  auto opened = base::OpenAt(leaf, file, O_RDONLY);
  if (opened.ok() || base::GetErrno(opened.status()) != ENOENT) return opened;
  // Every cgroup has this one: without it the leaf is not there any more.
  if (faccessat(leaf, "cgroup.procs", F_OK, 0) != 0) return opened;
  return base::UniqueFd();
}

// The whole text as of now; the kernel gives it out in one piece if there is
// room for it (seq_read_iter of fs/seq_file.c). Valid until the next call.
absl::StatusOr<absl::string_view> ReadFigures(const base::UniqueFd& file,
                                              const char* name,
                                              std::string* buffer) {
  for (;;) {
    const ssize_t size = pread(file.get(), buffer->data(), buffer->size(), 0);
    if (size < 0) {
      if (errno == EINTR) continue;
      return base::ErrnoError(errno, absl::StrCat("read ", name));
    }
    if (static_cast<size_t>(size) < buffer->size()) {
      return absl::string_view(buffer->data(), size);
    }
    if (buffer->size() >= kLongestFile) {
      return absl::InternalError(absl::StrCat(name, " is too long"));
    }
    buffer->resize(buffer->size() * 4);
  }
}

absl::StatusOr<uint64_t> Number(absl::string_view text, const char* name) {
  uint64_t number = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &number)) {
    return absl::InternalError(absl::StrCat(name, " has no number"));
  }
  return number;
}

// The value of `key` in lines "key value"; nullopt when there is none.
absl::StatusOr<std::optional<uint64_t>> Value(absl::string_view text,
                                              absl::string_view key,
                                              const char* name) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, key) || !absl::ConsumePrefix(&line, " ")) {
      continue;
    }
    ASSIGN_OR_RETURN(const uint64_t number, Number(line, name));
    return number;
  }
  return std::nullopt;
}

absl::StatusOr<uint64_t> NeededValue(absl::string_view text,
                                     absl::string_view key, const char* name) {
  ASSIGN_OR_RETURN(const std::optional<uint64_t> value, Value(text, key, name));
  if (!value.has_value()) {
    return absl::InternalError(absl::StrCat(name, " has no ", key));
  }
  return *value;
}

// Lines "8:0 rbytes=1 wbytes=2 rios=3 wios=4 …"; a device that was never used
// may have its number alone.
absl::StatusOr<LeafSample::Io> ParseIoV2(absl::string_view text) {
  LeafSample::Io io;
  const std::pair<absl::string_view, uint64_t*> sums[] = {
      {"rbytes=", &io.read_bytes},
      {"wbytes=", &io.written_bytes},
      {"rios=", &io.reads},
      {"wios=", &io.writes}};
  for (absl::string_view word :
       absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    for (const auto& [key, sum] : sums) {
      if (!absl::ConsumePrefix(&word, key)) continue;
      ASSIGN_OR_RETURN(const uint64_t number, Number(word, "io.stat"));
      *sum += number;
      break;
    }
  }
  return io;
}

// Lines "8:0 Read 1", "8:0 Write 2", others; "Total 3" at the end.
absl::Status AddIoV1(absl::string_view text, const char* name, uint64_t* read,
                     uint64_t* written) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    if (words.size() != 3) continue;
    uint64_t* sum = words[1] == "Read"    ? read
                    : words[1] == "Write" ? written
                                          : nullptr;
    if (sum == nullptr) continue;
    ASSIGN_OR_RETURN(const uint64_t number, Number(words[2], name));
    *sum += number;
  }
  return absl::OkStatus();
}

// With cgroups below the leaf where the kernel counts those.
absl::StatusOr<base::UniqueFd> OpenThrottle(int leaf, const std::string& file) {
  ASSIGN_OR_RETURN(base::UniqueFd all,
                   OpenFigures(leaf, (file + "_recursive").c_str()));
  if (all.valid()) return all;
  return OpenFigures(leaf, file.c_str());
}

}  // namespace

absl::StatusOr<LeafSampler> LeafSampler::Open(
    const LeafDirectories& directories) {
  LeafSampler sampler;
  sampler.v2_ = directories.unified.valid();
  RETURN_IF_ERROR(sampler.v2_ ? sampler.OpenV2(directories.unified.get())
                              : sampler.OpenV1(directories));
  return sampler;
}

absl::Status LeafSampler::OpenV2(int leaf) {
  ASSIGN_OR_RETURN(cpu_, OpenFigures(leaf, "cpu.stat"));
  ASSIGN_OR_RETURN(memory_usage_, OpenFigures(leaf, "memory.current"));
  ASSIGN_OR_RETURN(memory_stat_, OpenFigures(leaf, "memory.stat"));
  ASSIGN_OR_RETURN(oom_, OpenFigures(leaf, "memory.events"));
  ASSIGN_OR_RETURN(pids_, OpenFigures(leaf, "pids.current"));
  ASSIGN_OR_RETURN(io_, OpenFigures(leaf, "io.stat"));
  return absl::OkStatus();
}

absl::Status LeafSampler::OpenV1(const LeafDirectories& directories) {
  const int memory = directories.memory.get();
  const int blkio = directories.blkio.get();
  ASSIGN_OR_RETURN(cpu_,
                   OpenFigures(directories.cpuacct.get(), "cpuacct.usage"));
  ASSIGN_OR_RETURN(memory_usage_, OpenFigures(memory, "memory.usage_in_bytes"));
  ASSIGN_OR_RETURN(memory_stat_, OpenFigures(memory, "memory.stat"));
  ASSIGN_OR_RETURN(
      oom_, OpenFigures(directories.victims.get(), "memory.oom_control"));
  ASSIGN_OR_RETURN(pids_, OpenFigures(directories.pids.get(), "pids.current"));
  ASSIGN_OR_RETURN(io_, OpenThrottle(blkio, "blkio.throttle.io_service_bytes"));
  ASSIGN_OR_RETURN(io_operations_,
                   OpenThrottle(blkio, "blkio.throttle.io_serviced"));
  return absl::OkStatus();
}

absl::StatusOr<std::optional<uint64_t>> LeafSampler::ReadCpu(
    std::string* buffer) const {
  if (!cpu_.valid()) return std::nullopt;
  const char* name = v2_ ? "cpu.stat" : "cpuacct.usage";
  ASSIGN_OR_RETURN(const absl::string_view text,
                   ReadFigures(cpu_, name, buffer));
  if (v2_) return NeededValue(text, "usage_usec", name);
  ASSIGN_OR_RETURN(const uint64_t nanoseconds, Number(text, name));
  return nanoseconds / 1000;
}

absl::StatusOr<std::optional<LeafSample::Memory>> LeafSampler::ReadMemory(
    std::string* buffer) const {
  if (!memory_usage_.valid() || !memory_stat_.valid()) return std::nullopt;
  const char* name = v2_ ? "memory.current" : "memory.usage_in_bytes";
  ASSIGN_OR_RETURN(absl::string_view text,
                   ReadFigures(memory_usage_, name, buffer));
  ASSIGN_OR_RETURN(const uint64_t usage, Number(text, name));
  ASSIGN_OR_RETURN(text, ReadFigures(memory_stat_, "memory.stat", buffer));
  ASSIGN_OR_RETURN(
      const uint64_t inactive,
      NeededValue(text, v2_ ? "inactive_file" : "total_inactive_file",
                  "memory.stat"));
  return LeafSample::Memory{usage, usage > inactive ? usage - inactive : 0};
}

absl::StatusOr<std::optional<LeafSample::Io>> LeafSampler::ReadIo(
    std::string* buffer) const {
  if (!io_.valid()) return std::nullopt;
  if (v2_) {
    ASSIGN_OR_RETURN(const absl::string_view text,
                     ReadFigures(io_, "io.stat", buffer));
    return ParseIoV2(text);
  }
  if (!io_operations_.valid()) return std::nullopt;
  LeafSample::Io io;
  const char* name = "blkio.throttle.io_service_bytes";
  ASSIGN_OR_RETURN(absl::string_view text, ReadFigures(io_, name, buffer));
  RETURN_IF_ERROR(AddIoV1(text, name, &io.read_bytes, &io.written_bytes));
  name = "blkio.throttle.io_serviced";
  ASSIGN_OR_RETURN(text, ReadFigures(io_operations_, name, buffer));
  RETURN_IF_ERROR(AddIoV1(text, name, &io.reads, &io.writes));
  return io;
}

absl::StatusOr<LeafSample> LeafSampler::Sample() const {
  LeafSample sample;
  sample.monotonic_ns = base::SystemClock().MonotonicNow();
  std::string buffer(kFirstRead, '\0');
  ASSIGN_OR_RETURN(sample.cpu_usage_us, ReadCpu(&buffer));
  ASSIGN_OR_RETURN(sample.memory, ReadMemory(&buffer));
  absl::string_view text;
  if (oom_.valid()) {
    const char* name = v2_ ? "memory.events" : "memory.oom_control";
    ASSIGN_OR_RETURN(text, ReadFigures(oom_, name, &buffer));
    ASSIGN_OR_RETURN(sample.oom_kills, Value(text, "oom_kill", name));
  }
  if (pids_.valid()) {
    ASSIGN_OR_RETURN(text, ReadFigures(pids_, "pids.current", &buffer));
    ASSIGN_OR_RETURN(sample.pids, Number(text, "pids.current"));
  }
  ASSIGN_OR_RETURN(sample.io, ReadIo(&buffer));
  return sample;
}

bool LeafSampler::IsGone(const absl::Status& status) {
  const int error = base::GetErrno(status);
  return error == ENOENT || error == ENODEV;
}

}  // namespace warren::runtime
