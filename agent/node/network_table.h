#ifndef WARREN_AGENT_NODE_NETWORK_TABLE_H_
#define WARREN_AGENT_NODE_NETWORK_TABLE_H_

#include <absl/status/status.h>

#include <string>

// <state_dir>/network_table: the name of the nftables tables that this node has
// its packet rules in, and the boot in which they were made; nftables forgets
// them at a reboot. Another name in the configuration would leave the tables of
// the old one behind, and they go on deciding: of pods that they do not know
// they let nothing pass. Neither call blocks but on the disk.
namespace warren::agent {

// kFailedPrecondition, with what to do, when the rules of this boot are in
// tables of another name. Any other error: the file cannot be read, and nobody
// knows.
absl::Status CheckNetworkTable(const std::string& state_dir,
                               const std::string& boot_id,
                               const std::string& table);

// Call once the tables are there.
absl::Status KeepNetworkTable(const std::string& state_dir,
                              const std::string& boot_id,
                              const std::string& table);

}  // namespace warren::agent

#endif  // WARREN_AGENT_NODE_NETWORK_TABLE_H_
