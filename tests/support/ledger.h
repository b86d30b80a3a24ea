#ifndef WARREN_TESTS_SUPPORT_LEDGER_H_
#define WARREN_TESTS_SUPPORT_LEDGER_H_

#include <absl/time/time.h>
#include <sys/types.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/support/patience.h"

// The leak check: everything a pod can leave behind, written down before and
// after, and compared. It sees what the node (node_namespace.h) sees, so run
// it inside one.
namespace warren::test {

// What the ledger cannot find by itself.
struct LedgerScope {
  // Directories whose files count: state and run directory of the daemon.
  std::vector<std::string> directories = {};
  // Names directly below those directories that do not count ("images").
  std::set<std::string> ignored = {};
  // nsfs file of the mount namespace with the pods' pins; may be missing.
  std::string pins_file = {};
  // The daemon: not listed among the processes; 0 = none.
  pid_t daemon = 0;
  // Whether its descriptors count: not between two lives of a daemon.
  bool descriptors = true;
};

// One line per thing, by category: "process", "netns", "link", "address",
// "route", "nft", "mount", "pin", "cgroup", "file", "sysv ipc", "daemon fd".
// Things without a name are counted ("socket x 3").
using Ledger = std::map<std::string, std::set<std::string>>;

// Looks until two ledgers in a row agree, so that nothing on its way in or out
// (a connection being closed, say) is taken for what stays.
Ledger TakeLedger(const LedgerScope& scope);

// "+ link: vethab12 …" for every line in `after` only, "- …" for those in
// `before` only; empty when both are equal. A mount whose place is gone does
// not count: the machine may have removed the directory.
std::string LedgerDiff(const Ledger& before, const Ledger& after);

// Takes ledgers until one equals `before` or Patience(patience) is over, and
// returns the last difference: the kernel drops links and network namespaces
// some time after their last user has gone.
std::string SettledDiff(const Ledger& before, const LedgerScope& scope,
                        absl::Duration patience = absl::Seconds(10));

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_LEDGER_H_
