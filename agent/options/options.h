#ifndef WARREN_AGENT_OPTIONS_OPTIONS_H_
#define WARREN_AGENT_OPTIONS_OPTIONS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/options/id_span.h"
#include "netplugin/ip.h"

// What an operator can set. Order of precedence: flag, configuration file
// (TOML), default. Everything is checked before the daemon does anything:
// unknown keys and bad values are errors that name the line.
namespace warren::agent {

// Checked values; no further test is needed by who uses them.
struct Options {
  // Absolute paths. The socket's directory is made 0700, or 0750 with a group.
  std::string socket = "/run/warren/warrend.sock";
  // Members of this group may connect too; unset = root alone.
  std::optional<gid_t> socket_group;
  std::string state_dir = "/var/lib/warren";  // survives a reboot
  std::string run_dir = "/run/warren";        // does not
  // Parent of pods whose request names none: "/a/b", or "x.slice".
  std::string cgroup_parent = "/warren";
  std::string log_level = "info";  // trace, debug, info, warning, error
  int max_connections = 512;
  // Processes and threads of one container whose request says nothing of
  // them; 0 = no limit of ours.
  int pids_limit = 0;
  // Of one processor, what the shim of one container may use to write its log:
  // 1 to 100, which is no limit.
  int log_cpu_percent = 75;
  // Pods that do not say what they want: false = the node's user namespace
  // ("host"), true = one of their own with ids of the pool ("auto").
  bool userns_auto = false;
  IdSpan userns_pool;
  // Lowest host id that a pod's ids may be mapped to: below are the node's
  // own users.
  uint32_t userns_min_host_id = 65536;

  // [network]
  std::vector<netplugin::IpPrefix> pod_ranges = {DefaultPodRange()};
  std::string bridge = "warren0";
  int mtu = 0;  // bytes; 0 = the uplink's
  std::string table = "warren";
  // Packets between others than pods, where the node did not forward before.
  bool forward_others = false;

  // [image]
  // Archive imported at start when the image is missing: unset = the one
  // installed beside the program, "" = none.
  std::optional<std::string> default_image;
  // How registries are reached: <host>/hosts.toml in the layout of containerd's
  // certs.d.
  std::string registry_hosts_dir = "/etc/warren/certs.d";

  // [security]
  bool ambient_capabilities = false;  // may containers ask for them?
  // AppArmor profile of containers that ask for the default or for none; must
  // be loaded by whoever runs the node. "" = there is no default.
  std::string apparmor_default_profile;

  // [devices]
  // Where files that define CDI devices are; later directories win.
  std::vector<std::string> cdi_directories = {"/etc/cdi", "/var/run/cdi"};
  // Owner of a container's devices: as on the host, or run_as_user and
  // run_as_group of its security context.
  bool devices_belong_to_user = false;

  static netplugin::IpPrefix DefaultPodRange();  // 10.88.0.0/16
};

// A value as a file or a flag gives it.
using OptionValue =
    std::variant<std::string, int64_t, std::vector<std::string>, bool>;

// Sets one option by its name in the file ("socket", "network.mtu").
// kNotFound for an unknown name, kInvalidArgument says what is wrong with the
// value. `options` is unchanged on error.
absl::Status SetOption(const std::string& name, const OptionValue& value,
                       Options* options);

// Checks that concern several options at once.
absl::Status CheckOptions(const Options& options);

// Reads TOML into `options`. `file` is only for messages, which have the form
// "file:line: key: what is wrong".
absl::Status ApplyConfig(absl::string_view text, const std::string& file,
                         Options* options);

struct CommandLine {
  Options options;
  bool check_config = false;  // say that all is well and leave
  std::string output;         // not empty: print it and leave (--help)
};

// The whole of it: flags, the file that --config names, all checks.
absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv);

}  // namespace warren::agent

#endif  // WARREN_AGENT_OPTIONS_OPTIONS_H_
