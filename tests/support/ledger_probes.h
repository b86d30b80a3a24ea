#ifndef WARREN_TESTS_SUPPORT_LEDGER_PROBES_H_
#define WARREN_TESTS_SUPPORT_LEDGER_PROBES_H_

#include <sys/types.h>

#include <set>
#include <string>

// The single columns of the ledger (ledger.h). Each reads one table of the
// kernel now and returns one line per thing; what vanishes during the reading
// is left out.
namespace warren::test {

// "sleep 100 (S)", ours and the node's init left out; zombies have state Z.
std::set<std::string> Processes(pid_t except);
// Inodes of network namespaces that a process, a descriptor or a mount holds.
std::set<std::string> NetworkNamespaces();
std::set<std::string> Links();
std::set<std::string> Addresses();
std::set<std::string> Routes();
std::set<std::string> NftRules();
// Lines "type source target" of the mount table of the task behind `tid`.
std::set<std::string> Mounts(pid_t tid);
// The same of the mount namespace behind an nsfs file; empty without it.
std::set<std::string> MountsBehind(const std::string& nsfs_file);
// Directories below the test's cgroup parent, in every hierarchy.
std::set<std::string> Cgroups();
// Paths below `directory`, relative to it.
std::set<std::string> Files(const std::string& directory,
                            const std::set<std::string>& ignored);
std::set<std::string> SysvIpc();
// Descriptors of a process by what they are, counted: "socket x 3".
std::set<std::string> Descriptors(pid_t pid);

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_LEDGER_PROBES_H_
