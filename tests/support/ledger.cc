#include "tests/support/ledger.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <utility>

#include "tests/support/host_file.h"
#include "tests/support/ledger_probes.h"

namespace warren::test {
namespace {

Ledger Look(const LedgerScope& scope) {
  Ledger ledger;
  ledger["process"] = Processes(scope.daemon);
  ledger["netns"] = NetworkNamespaces();
  ledger["link"] = Links();
  ledger["address"] = Addresses();
  ledger["route"] = Routes();
  ledger["nft"] = NftRules();
  ledger["mount"] = Mounts(getpid());
  ledger["pin"] = MountsBehind(scope.pins_file);
  ledger["cgroup"] = Cgroups();
  for (const std::string& directory : scope.directories) {
    ledger["file"].merge(Files(directory, scope.ignored));
  }
  ledger["sysv ipc"] = SysvIpc();
  if (scope.daemon != 0 && scope.descriptors) {
    ledger["daemon fd"] = Descriptors(scope.daemon);
  }
  return ledger;
}

// A mount that was at a place that is gone. Whoever removes a directory takes
// the mounts on it out of every mount namespace, also out of this one: the
// machine's "ip netns" and runtimes do. The directories of the daemon itself
// are in the ledger as files.
bool WentWithItsPlace(const std::string& category, const std::string& line) {
  if (category != "mount") return false;
  std::string place;
  return absl::CUnescape(line.substr(0, line.find(" of ")), &place) &&
         !HostFileExists(place);
}

}  // namespace

Ledger TakeLedger(const LedgerScope& scope) {
  Ledger last = Look(scope);
  Eventually([&] {
    Ledger next = Look(scope);
    const bool settled = next == last;
    last = std::move(next);
    return settled;
  });
  return last;
}

std::string LedgerDiff(const Ledger& before, const Ledger& after) {
  std::string text;
  const auto missing = [&text](const Ledger& of, const Ledger& in,
                               const char* sign) {
    for (const auto& [category, lines] : of) {
      const auto other = in.find(category);
      for (const std::string& line : lines) {
        if (other != in.end() && other->second.contains(line)) continue;
        if (*sign == '-' && WentWithItsPlace(category, line)) continue;
        absl::StrAppend(&text, sign, " ", category, ": ", line, "\n");
      }
    }
  };
  missing(after, before, "+");
  missing(before, after, "-");
  return text;
}

std::string SettledDiff(const Ledger& before, const LedgerScope& scope,
                        absl::Duration patience) {
  std::string diff;
  Eventually(
      [&] {
        diff = LedgerDiff(before, Look(scope));
        return diff.empty();
      },
      patience);
  return diff;
}

}  // namespace warren::test
