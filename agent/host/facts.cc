#include "agent/host/facts.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"

namespace warren::agent {

namespace {

// What a pod gets of the file, or `otherwise`; `loss` is what it lacks then.
std::string ReadHostFile(const std::string& path, const char* otherwise,
                         const char* loss,
                         std::vector<std::string>* unreadable) {
  auto text = base::ReadRegularFileAt(AT_FDCWD, path);
  if (text.ok()) return *std::move(text);
  if (!base::ProvesAbsence(base::GetErrno(text.status()))) {
    unreadable->push_back(
        absl::StrCat(path, ": ", text.status().message(), "; ", loss));
  }
  return otherwise;
}

}  // namespace

void ReadHostFiles(const std::string& etc, HostFacts* facts) {
  facts->resolv_conf =
      ReadHostFile(etc + "/resolv.conf", "",
                   "pods that bring no DNS configuration get an empty one",
                   &facts->unreadable);
  facts->hosts = ReadHostFile(
      etc + "/hosts", "127.0.0.1 localhost\n::1 localhost\n",
      "pods get no names but localhost from the node", &facts->unreadable);
}

HostFacts ReadHostFacts(const base::Clock& clock, const NodePolicy& policy) {
  HostFacts facts;
  char name[HOST_NAME_MAX + 1] = {};
  // Cannot fail with a buffer of that size (gethostname(2)).
  if (gethostname(name, sizeof(name)) == 0) facts.hostname = name;
  ReadHostFiles("/etc", &facts);
  facts.monotonic_now_ns = clock.MonotonicNow();
  facts.modules = ReadSecurityModules();
  facts.policy = policy;
  return facts;
}

absl::StatusOr<std::string> ReadBootId() {
  ASSIGN_OR_RETURN(
      const std::string text,
      base::ReadFileAt(AT_FDCWD, "/proc/sys/kernel/random/boot_id"));
  return std::string(absl::StripAsciiWhitespace(text));
}

}  // namespace warren::agent
