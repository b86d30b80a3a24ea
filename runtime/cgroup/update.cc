#include "runtime/cgroup/update.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

struct Default {
  absl::string_view file;
  absl::string_view value;
};
// What a new cgroup has (kernel documents admin-guide/cgroup-v1, cgroup-v2).
constexpr Default kDefaults[] = {
    {"cpu.shares", "1024"},
    {"cpu.cfs_period_us", "100000"},
    {"cpu.cfs_quota_us", "-1"},
    {"cpu.weight", "100"},
    {"cpu.max", "max 100000"},
    {"cpu.max.burst", "0"},
    {"cpu.idle", "0"},
    {"memory.limit_in_bytes", "-1"},
    {"memory.memsw.limit_in_bytes", "-1"},
    {"memory.max", "max"},
    {"memory.high", "max"},
    {"memory.low", "0"},
    {"memory.min", "0"},
    {"memory.oom.group", "0"},
    {"memory.swap.max", "max"},
    {"memory.swap.high", "max"},
    {"memory.zswap.max", "max"},
    {"pids.max", "max"},
    {"cpuset.cpus", ""},
    {"cpuset.mems", ""},
};

std::optional<std::string> DefaultOf(absl::string_view file) {
  for (const Default& d : kDefaults) {
    if (d.file == file) return std::string(d.value);
  }
  if (absl::StartsWith(file, "hugetlb.")) {
    return absl::EndsWith(file, ".limit_in_bytes") ? "-1" : "max";
  }
  return std::nullopt;
}

int64_t LimitOf(const ControlValue& value) {
  int64_t number = 0;
  if (!absl::SimpleAtoi(value.value, &number)) return 0;
  return number < 0 ? INT64_MAX : number;
}

using Iterator = std::vector<ControlValue>::iterator;

// Whether both are there, and which comes first.
struct Pair {
  Iterator first;
  Iterator second;
  bool whole;
};
Pair FindPair(std::vector<ControlValue>* values, absl::string_view a,
              absl::string_view b) {
  const auto find = [values](absl::string_view file) {
    return std::find_if(
        values->begin(), values->end(),
        [file](const ControlValue& v) { return v.file == file; });
  };
  const Iterator first = find(a);
  const Iterator second = find(b);
  return {first, second, first != values->end() && second != values->end()};
}

void PutFirst(Iterator wanted, Iterator other) {
  if (other < wanted) std::iter_swap(wanted, other);
}

absl::string_view Shown(const std::string& value) {
  return absl::string_view(value).substr(0, 64);
}

// A list of processors or memory nodes that is empty is the parent's, on v2. It
// cannot become empty again while processes are in it (ENOSPC, validate_change
// of kernel/cgroup/cpuset.c): then it gets what the parent has now.
absl::Status WriteNothing(int directory, const std::string& file,
                          ControlWriter writer) {
  // An empty write is none at all; a line feed empties a list.
  const absl::Status emptied = writer(directory, file, "\n");
  if (base::GetErrno(emptied) != ENOSPC) return emptied;
  const auto above =
      base::ReadFileAt(directory, absl::StrCat("../", file, ".effective"));
  if (!above.ok()) return emptied;
  return writer(directory, file, absl::StripAsciiWhitespace(*above));
}

// What was read from a control file, as it takes it back: some files hold a
// line for each device and take one line at a time.
absl::Status PutBack(int directory, const std::string& file,
                     const std::string& before, ControlWriter writer) {
  const std::vector<absl::string_view> lines =
      absl::StrSplit(before, '\n', absl::SkipEmpty());
  if (lines.empty()) return WriteNothing(directory, file, writer);
  absl::Status result;
  for (absl::string_view line : lines) {
    base::Update(&result, writer(directory, file, line));
  }
  return result;
}

}  // namespace

bool HasDefault(absl::string_view file) { return DefaultOf(file).has_value(); }

absl::StatusOr<std::vector<ControlValue>> ChangedValues(
    const std::vector<ControlValue>& from,
    const std::vector<ControlValue>& to) {
  const auto in = [](const std::vector<ControlValue>& values,
                     const ControlValue& wanted) -> const ControlValue* {
    for (const ControlValue& v : values) {
      if (v.file == wanted.file) return &v;
    }
    return nullptr;
  };
  std::vector<ControlValue> changed;
  for (const ControlValue& value : to) {
    const ControlValue* before = in(from, value);
    if (before == nullptr || before->value != value.value) {
      changed.push_back(value);
    }
  }
  for (const ControlValue& value : from) {
    if (in(to, value) != nullptr) continue;
    std::optional<std::string> usual = DefaultOf(value.file);
    if (!usual.has_value()) {
      return absl::FailedPreconditionError(
          absl::StrCat(value.field, ": no default of ", value.file,
                       " is known to go back to"));
    }
    changed.push_back(value);
    changed.back().value = *std::move(usual);
  }
  return changed;
}

void OrderV1(int64_t memsw, int64_t period_us,
             std::vector<ControlValue>* values) {
  const Pair memory =
      FindPair(values, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
  if (memory.whole) {
    if (LimitOf(*memory.first) <= memsw) {
      PutFirst(memory.first, memory.second);
    } else {
      PutFirst(memory.second, memory.first);
    }
  }
  const Pair cpu = FindPair(values, "cpu.cfs_period_us", "cpu.cfs_quota_us");
  if (cpu.whole) {
    // A longer period makes the old quota a smaller share; with a shorter one
    // the new quota must be there before.
    if (LimitOf(*cpu.first) >= period_us) {
      PutFirst(cpu.first, cpu.second);
    } else {
      PutFirst(cpu.second, cpu.first);
    }
  }
}

std::optional<int64_t> MemoryBytes(absl::string_view text) {
  constexpr absl::string_view kUnits = "kmgtpe";
  const std::string trimmed(absl::StripAsciiWhitespace(text));
  if (trimmed.empty() || !absl::ascii_isdigit(trimmed[0])) return std::nullopt;
  errno = 0;
  char* end = nullptr;
  uint64_t bytes = std::strtoull(trimmed.c_str(), &end, 0);
  if (errno != 0) bytes = UINT64_MAX;
  if (*end != '\0') {
    const size_t unit = kUnits.find(absl::ascii_tolower(*end));
    if (unit == absl::string_view::npos || end[1] != '\0') return std::nullopt;
    const unsigned shift = 10 * (static_cast<unsigned>(unit) + 1);
    bytes = bytes > (UINT64_MAX >> shift) ? UINT64_MAX : bytes << shift;
  }
  return static_cast<int64_t>(std::min<uint64_t>(bytes, INT64_MAX));
}

absl::Status WriteValue(const ControlWrite& write, ControlWriter writer) {
  const ControlValue& v = write.value;
  const absl::Status status =
      v.value.empty() ? WriteNothing(write.directory, v.file, writer)
                      : writer(write.directory, v.file, v.value);
  switch (base::GetErrno(status)) {
    case 0:
      return status;
    case ENOENT:
      if (v.best_effort) return absl::OkStatus();
      return absl::FailedPreconditionError(absl::StrCat(
          v.field, ": the host's cgroups offer no ", Shown(v.file)));
    case EBUSY:
      return absl::FailedPreconditionError(
          absl::StrCat(v.field, ": ", Shown(v.file), " cannot be ",
                       Shown(v.value), ", more than that is in use"));
    case EINVAL:
    case ERANGE:
    case EACCES:  // a cpuset beyond the parent's
    case EPERM:
      return absl::InvalidArgumentError(absl::StrCat(
          v.field, ": the kernel refuses \"", absl::CHexEscape(Shown(v.value)),
          "\" for ", Shown(v.file), " (errno ", base::GetErrno(status), ")"));
    default:
      return base::Annotate(status, absl::StrCat(v.field, ": set ", v.file));
  }
}

absl::Status WriteAllOrNone(const std::vector<ControlWrite>& writes) {
  return WriteAllOrNone(writes, base::WriteControlAt);
}

absl::Status WriteAllOrNone(const std::vector<ControlWrite>& writes,
                            ControlWriter writer) {
  std::vector<absl::StatusOr<std::string>> before;
  absl::Status failed;
  for (const ControlWrite& write : writes) {
    before.push_back(base::ReadFileAt(write.directory, write.value.file));
    failed = WriteValue(write, writer);
    if (!failed.ok()) break;
  }
  if (failed.ok()) return failed;
  absl::Status undone;
  // The one that failed too: the kernel may have taken a part of it.
  for (size_t i = before.size(); i-- > 0;) {
    // lint: allow absence: what cannot be read has no value to go back to
    if (!before[i].ok()) continue;
    const absl::Status put =
        PutBack(writes[i].directory, writes[i].value.file, *before[i], writer);
    if (i + 1 < before.size()) base::Update(&undone, put);
  }
  if (undone.ok()) return failed;
  return absl::Status(
      failed.code(),
      absl::StrCat(failed.message(), "; earlier values could not be put back: ",
                   undone.message()));
}

absl::Status MakeRoomV2(int directory, int64_t limit) {
  const auto used = [directory]() -> int64_t {
    int64_t bytes = 0;
    const auto text = base::ReadFileAt(directory, "memory.current");
    if (!text.ok() ||
        !absl::SimpleAtoi(absl::StripAsciiWhitespace(*text), &bytes)) {
      return 0;
    }
    return bytes;
  };
  const int64_t before = used();
  if (before <= limit) return absl::OkStatus();
  // EAGAIN when less could be taken back; what counts is what is left.
  base::WriteControlAt(directory, "memory.reclaim",
                       absl::StrCat(before - limit))
      .IgnoreError();
  const int64_t now = used();
  if (now <= limit) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("memory_limit_in_bytes: ", now,
                   " bytes are in use, more than the new limit of ", limit));
}

}  // namespace warren::runtime
