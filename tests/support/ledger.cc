#include "tests/support/ledger.h"

#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <utility>

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
