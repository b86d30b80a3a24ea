#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <map>
#include <utility>

#include "agent/options/options.h"
#include "netplugin/ipam/pod_ranges.h"
#include "runtime/base/look.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

using netplugin::IpPrefix;

absl::Status Bad(absl::string_view what) {
  return absl::InvalidArgumentError(what);
}

absl::StatusOr<std::string> Text(const OptionValue& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return Bad("must be a string");
  for (const char c : *text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      return Bad("must not hold control characters");
    }
  }
  return *text;
}

absl::StatusOr<int> Number(const OptionValue& value, int lowest, int highest) {
  const auto* number = std::get_if<int64_t>(&value);
  if (number == nullptr || *number < lowest || *number > highest) {
    return Bad(absl::StrCat("must be a number from ", lowest, " to ", highest));
  }
  return static_cast<int>(*number);
}

// Absolute, with no empty, "." or ".." element, so that equal paths are equal
// strings.
absl::StatusOr<std::string> Path(const OptionValue& value) {
  absl::StatusOr<std::string> text = Text(value);
  if (!text.ok()) return text;
  if (text->empty() || text->front() != '/') {
    return Bad("must be an absolute path");
  }
  if (text->size() > 1024) return Bad("must not exceed 1024 bytes");
  const std::vector<std::string> parts =
      absl::StrSplit(absl::string_view(*text).substr(1), '/');
  for (const std::string& part : parts) {
    if (part.empty() || part == "." || part == "..") {
      return Bad("must not be / or hold empty, . or .. elements");
    }
  }
  return text;
}

bool AllOf(absl::string_view text, absl::string_view allowed_marks) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           absl::StrContains(allowed_marks, c);
  });
}

absl::StatusOr<std::string> CgroupParent(const OptionValue& value) {
  ASSIGN_OR_RETURN(const std::string text, Text(value));
  if (absl::EndsWith(text, ".slice") && AllOf(text, "-_.")) return text;
  if (absl::StatusOr<std::string> path = Path(value); path.ok()) return path;
  return Bad("must be a path such as /warren or the name of a .slice");
}

absl::StatusOr<std::string> LogLevel(const OptionValue& value) {
  ASSIGN_OR_RETURN(const std::string text, Text(value));
  static constexpr std::array<const char*, 5> kLevels = {
      "trace", "debug", "info", "warning", "error"};
  if (std::find(kLevels.begin(), kLevels.end(), text) == kLevels.end()) {
    return Bad("must be trace, debug, info, warning or error");
  }
  return text;
}

absl::StatusOr<std::optional<gid_t>> Group(const OptionValue& value) {
  ASSIGN_OR_RETURN(const std::string text, Text(value));
  if (text.empty()) return std::optional<gid_t>();
  uint32_t number = 0;
  if (absl::SimpleAtoi(text, &number)) {
    if (number == std::numeric_limits<gid_t>::max()) return Bad("no such gid");
    return std::optional<gid_t>(number);
  }
  // getgrnam(3) would wait for ever for the writer of a FIFO.
  const absl::Status file =
      base::OpenRegularFileAt(AT_FDCWD, "/etc/group").status();
  if (!file.ok() && !base::ProvesAbsence(file)) return Bad(file.message());
  struct group entry = {};
  struct group* found = nullptr;
  std::vector<char> buffer(64 * 1024);
  if (getgrnam_r(text.c_str(), &entry, buffer.data(), buffer.size(), &found) !=
          0 ||
      found == nullptr) {
    return Bad("no such group");
  }
  return std::optional<gid_t>(found->gr_gid);
}

absl::StatusOr<std::vector<IpPrefix>> Ranges(const OptionValue& value) {
  const auto* list = std::get_if<std::vector<std::string>>(&value);
  if (list == nullptr) return Bad("must be a list of prefixes");
  std::vector<IpPrefix> ranges;
  for (const std::string& text : *list) {
    const absl::StatusOr<IpPrefix> range = IpPrefix::Parse(text);
    if (!range.ok()) return Bad(absl::StrCat("bad prefix: ", text));
    ranges.push_back(*range);
  }
  RETURN_IF_ERROR(netplugin::ValidateRanges(ranges));
  return ranges;
}

absl::StatusOr<std::string> Bridge(const OptionValue& value) {
  ASSIGN_OR_RETURN(const std::string text, Text(value));
  if (!AllOf(text, "-_.") || text == "." || text == ".." ||
      text.size() >= IFNAMSIZ) {
    return Bad("must be an interface name of at most 15 letters, digits, -_.");
  }
  return text;
}

absl::StatusOr<int> Mtu(const OptionValue& value) {
  ASSIGN_OR_RETURN(const int mtu, Number(value, 0, 65535));
  // RFC 8200: no IPv6 below 1280.
  if (mtu != 0 && mtu < 1280) return Bad("must be 0 or at least 1280");
  return mtu;
}

absl::StatusOr<std::string> Table(const OptionValue& value) {
  ASSIGN_OR_RETURN(const std::string text, Text(value));
  if (!AllOf(text, "_") || text.size() > 32 ||
      !absl::ascii_isalpha(static_cast<unsigned char>(text[0]))) {
    return Bad("must be at most 32 letters, digits and _, a letter first");
  }
  return text;
}

absl::StatusOr<std::optional<std::string>> OptionalPath(
    const OptionValue& value) {
  ASSIGN_OR_RETURN(const std::string text, Text(value));
  if (text.empty()) return std::optional<std::string>("");
  ASSIGN_OR_RETURN(std::string path, Path(value));
  return std::optional<std::string>(std::move(path));
}

absl::StatusOr<bool> Truth(const OptionValue& value) {
  const auto* truth = std::get_if<bool>(&value);
  if (truth == nullptr) return Bad("must be true or false");
  return *truth;
}

absl::StatusOr<bool> UsernsAuto(const OptionValue& value) {
  const absl::StatusOr<std::string> text = Text(value);
  if (!text.ok()) return text.status();
  if (*text == "auto") return true;
  if (*text == "host") return false;
  return Bad("must be \"host\" or \"auto\"");
}

// "start:length", decimal, whole ranges of 65536, none of them the node's
// own first one, and below 2^31.
absl::StatusOr<IdSpan> UsernsPool(const OptionValue& value) {
  ASSIGN_OR_RETURN(const std::string text, Text(value));
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  IdSpan span;
  if (parts.size() != 2 || !AllOf(parts[0], "") || !AllOf(parts[1], "") ||
      !absl::SimpleAtoi(parts[0], &span.start) ||
      !absl::SimpleAtoi(parts[1], &span.length)) {
    return Bad("must be \"first id:number of ids\"");
  }
  if (span.start == 0 || span.start % kIdsOfAPod != 0 || span.length == 0 ||
      span.length % kIdsOfAPod != 0) {
    return Bad("both numbers must be multiples of 65536 and not 0");
  }
  if (uint64_t{span.start} + span.length > (uint64_t{1} << 31)) {
    return Bad("must end below 2147483648");
  }
  return span;
}

absl::StatusOr<std::string> Profile(const OptionValue& value) {
  ASSIGN_OR_RETURN(std::string text, Text(value));
  if (text.size() > 1024) return Bad("must not exceed 1024 bytes");
  return text;
}

absl::StatusOr<std::vector<std::string>> Directories(const OptionValue& value) {
  const auto* list = std::get_if<std::vector<std::string>>(&value);
  if (list == nullptr) return Bad("must be a list of paths");
  std::vector<std::string> directories;
  for (const std::string& text : *list) {
    ASSIGN_OR_RETURN(std::string path, Path(text));
    directories.push_back(std::move(path));
  }
  return directories;
}

absl::StatusOr<bool> BelongToUser(const OptionValue& value) {
  const absl::StatusOr<std::string> text = Text(value);
  if (!text.ok()) return text.status();
  if (*text == "user") return true;
  if (*text == "host") return false;
  return Bad("must be host or user");
}

using Setter = std::function<absl::Status(const OptionValue&, Options*)>;

template <class T>
Setter Into(absl::StatusOr<T> (*parse)(const OptionValue&),
            T Options::*member) {
  return [parse, member](const OptionValue& value, Options* options) {
    ASSIGN_OR_RETURN(options->*member, parse(value));
    return absl::OkStatus();
  };
}

const std::map<std::string, Setter>& Setters() {
  static const auto& setters = *new std::map<std::string, Setter>{
      {"socket", Into(Path, &Options::socket)},
      {"socket_group", Into(Group, &Options::socket_group)},
      {"state_dir", Into(Path, &Options::state_dir)},
      {"run_dir", Into(Path, &Options::run_dir)},
      {"cgroup_parent", Into(CgroupParent, &Options::cgroup_parent)},
      {"log_level", Into(LogLevel, &Options::log_level)},
      {"max_connections",
       [](const OptionValue& value, Options* options) -> absl::Status {
         ASSIGN_OR_RETURN(options->max_connections, Number(value, 1, 100000));
         return absl::OkStatus();
       }},
      {"pids_limit",
       [](const OptionValue& value, Options* options) -> absl::Status {
         // The largest number of processes a kernel has (PID_MAX_LIMIT).
         ASSIGN_OR_RETURN(options->pids_limit, Number(value, 0, 1 << 22));
         return absl::OkStatus();
       }},
      {"log_cpu_percent",
       [](const OptionValue& value, Options* options) -> absl::Status {
         ASSIGN_OR_RETURN(options->log_cpu_percent, Number(value, 1, 100));
         return absl::OkStatus();
       }},
      {"userns", Into(UsernsAuto, &Options::userns_auto)},
      {"userns_pool", Into(UsernsPool, &Options::userns_pool)},
      {"userns_min_host_id",
       [](const OptionValue& value, Options* options) -> absl::Status {
         ASSIGN_OR_RETURN(const int id,
                          Number(value, 0, std::numeric_limits<int>::max()));
         options->userns_min_host_id = static_cast<uint32_t>(id);
         return absl::OkStatus();
       }},
      {"security.ambient_capabilities",
       Into(Truth, &Options::ambient_capabilities)},
      {"security.apparmor_default_profile",
       Into(Profile, &Options::apparmor_default_profile)},
      {"network.pod_ranges", Into(Ranges, &Options::pod_ranges)},
      {"network.bridge", Into(Bridge, &Options::bridge)},
      {"network.mtu", Into(Mtu, &Options::mtu)},
      {"network.table", Into(Table, &Options::table)},
      {"network.forward_others", Into(Truth, &Options::forward_others)},
      {"devices.cdi_spec_dirs", Into(Directories, &Options::cdi_directories)},
      {"devices.owner", Into(BelongToUser, &Options::devices_belong_to_user)},
      {"image.default_image", Into(OptionalPath, &Options::default_image)},
      {"image.registry_hosts_dir", Into(Path, &Options::registry_hosts_dir)},
  };
  return setters;
}

}  // namespace

IpPrefix Options::DefaultPodRange() { return *IpPrefix::Parse("10.88.0.0/16"); }

absl::Status SetOption(const std::string& name, const OptionValue& value,
                       Options* options) {
  const auto setter = Setters().find(name);
  if (setter == Setters().end()) return absl::NotFoundError("unknown key");
  return setter->second(value, options);
}

absl::Status CheckOptions(const Options& options) {
  if (options.socket.size() >= sizeof(sockaddr_un::sun_path)) {
    return Bad(absl::StrCat("socket: path longer than ",
                            sizeof(sockaddr_un::sun_path) - 1, " bytes"));
  }
  if (options.state_dir == options.run_dir) {
    return Bad("state_dir and run_dir must be different directories");
  }
  if (options.userns_pool.start < options.userns_min_host_id) {
    return Bad("userns_pool must not begin below userns_min_host_id");
  }
  return absl::OkStatus();
}

}  // namespace warren::agent
