#include "runtime/inspect/proc_reader.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "runtime/base/file.h"
#include "runtime/base/mountinfo.h"
#include "runtime/base/status.h"
#include "runtime/identity/id_map.h"

namespace warren::runtime {
namespace {

constexpr size_t kStatusLimit = 64 << 10;
constexpr size_t kMountInfoLimit = 16 << 20;
constexpr int64_t kSecond = 1'000'000'000;

std::string ProcPath(pid_t pid, const char* file) {
  return absl::StrCat("/proc/", pid, "/", file);
}

std::vector<absl::string_view> Fields(absl::string_view line) {
  return absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
}

// The arguments as one line of printable text; "" for a kernel thread or a
// program that has wiped them.
std::string ReadCommand(pid_t pid) {
  auto fd = base::OpenAt(AT_FDCWD, ProcPath(pid, "cmdline"), O_RDONLY);
  // lint: allow absence: a view shows what can be seen
  if (!fd.ok()) return "";
  char text[1024];
  const ssize_t n = read(fd->get(), text, sizeof(text));
  if (n <= 0) return "";
  std::string command(text, static_cast<size_t>(n));
  while (!command.empty() && command.back() == '\0') command.pop_back();
  for (char& c : command) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '\0') c = ' ';
    // Also keeps the text valid UTF-8.
    if (u != 0 && (u < 0x20 || u >= 0x7f)) c = '?';
  }
  return command;
}

}  // namespace

absl::StatusOr<ProcessView> ParseProcessStatus(absl::string_view text) {
  ProcessView view;
  bool ok = false;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::ConsumePrefix(&line, "Name:")) {
      view.command = std::string(absl::StripAsciiWhitespace(line));
    } else if (absl::ConsumePrefix(&line, "Pid:")) {
      ok = absl::SimpleAtoi(line, &view.host_pid);
    } else if (absl::ConsumePrefix(&line, "Uid:")) {
      const auto f = Fields(line);
      ok &= f.size() == 4 && absl::SimpleAtoi(f[0], &view.uid);
    } else if (absl::ConsumePrefix(&line, "Gid:")) {
      const auto f = Fields(line);
      ok &= f.size() == 4 && absl::SimpleAtoi(f[0], &view.gid);
    } else if (absl::ConsumePrefix(&line, "NSpid:")) {
      const auto f = Fields(line);
      ok &= !f.empty() && absl::SimpleAtoi(f.back(), &view.inner_pid);
    }
  }
  if (!ok) return absl::InternalError("/proc/pid/status is malformed");
  return view;
}

absl::StatusOr<TimeOffsets> ParseTimeOffsets(absl::string_view text) {
  TimeOffsets offsets;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const auto f = Fields(line);
    int64_t seconds = 0;
    int64_t rest = 0;
    if (f.size() != 3 || !absl::SimpleAtoi(f[1], &seconds) ||
        !absl::SimpleAtoi(f[2], &rest)) {
      return absl::InternalError("timens_offsets is malformed");
    }
    // Older kernels number the clocks.
    if (f[0] == "monotonic" || f[0] == "1") {
      offsets.monotonic_ns = seconds * kSecond + rest;
    } else if (f[0] == "boottime" || f[0] == "7") {
      offsets.boottime_ns = seconds * kSecond + rest;
    }
  }
  return offsets;
}

absl::StatusOr<ProcessView> ReadProcess(pid_t pid) {
  ASSIGN_OR_RETURN(
      const std::string text,
      base::ReadFileAt(AT_FDCWD, ProcPath(pid, "status"), kStatusLimit));
  ASSIGN_OR_RETURN(ProcessView view, ParseProcessStatus(text));
  std::string command = ReadCommand(pid);
  if (!command.empty()) view.command = std::move(command);
  return view;
}

absl::StatusOr<std::vector<MountView>> ReadMounts(pid_t pid) {
  ASSIGN_OR_RETURN(
      const std::string text,
      base::ReadFileAt(AT_FDCWD, ProcPath(pid, "mountinfo"), kMountInfoLimit));
  ASSIGN_OR_RETURN(const auto entries, base::ParseMountInfo(text));
  std::vector<MountView> mounts;
  for (const base::MountEntry& e : entries) {
    mounts.push_back({e.target, e.fs_type, e.source, e.options});
  }
  return mounts;
}

absl::StatusOr<TimeOffsets> ReadTimeOffsets(pid_t pid) {
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadFileAt(AT_FDCWD, ProcPath(pid, "timens_offsets")));
  return ParseTimeOffsets(text);
}

absl::StatusOr<std::vector<IdMapping>> ReadIdMap(pid_t pid, const char* file) {
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadFileAt(AT_FDCWD, ProcPath(pid, file)));
  return ParseIdMap(text);
}

absl::StatusOr<base::UniqueFd> OpenNamespaceOf(pid_t pid, const char* name) {
  return base::OpenAt(
      AT_FDCWD, ProcPath(pid, absl::StrCat("ns/", name).c_str()), O_RDONLY);
}

absl::StatusOr<std::string> ReadHostname(int uts_fd) {
  absl::StatusOr<std::string> result = absl::UnknownError("not run");
  std::thread thread([&] {
    char name[HOST_NAME_MAX + 1] = {};
    if (setns(uts_fd, CLONE_NEWUTS) != 0) {
      result = base::ErrnoError(errno, "enter the UTS namespace");
    } else if (gethostname(name, sizeof(name)) != 0) {
      result = base::ErrnoError(errno, "gethostname");
    } else {
      result = std::string(name);
    }
  });
  thread.join();
  return result;
}

absl::StatusOr<NamespaceIds> IdentifyNamespace(int ns_fd) {
  struct stat st;
  if (fstat(ns_fd, &st) != 0) return base::ErrnoError(errno, "stat namespace");
  NamespaceIds ids;
  ids.inode = st.st_ino;
  const base::UniqueFd owner(ioctl(ns_fd, NS_GET_USERNS));
  if (owner.valid() && fstat(owner.get(), &st) == 0) ids.owner = st.st_ino;
  return ids;
}

}  // namespace warren::runtime
