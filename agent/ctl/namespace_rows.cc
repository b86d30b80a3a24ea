// What the picture of a pod shows, row by row.
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>

#include <map>
#include <string>
#include <vector>

#include "agent/ctl/picture.h"
#include "agent/ctl/table.h"

namespace warren::agent::ctl {
namespace {

namespace node = ::warren::node::v1;
using Kind = PictureRow::Kind;
using Tie = PictureRow::Tie;

// Longer command lines and mount options are cut.
constexpr size_t kTextLimit = 90;

std::string Cut(const std::string& text) {
  const std::string shown = Printable(text);
  return shown.size() <= kTextLimit
             ? shown
             : absl::StrCat(shown.substr(0, kTextLimit - 3), "...");
}

// "+1d 2h 3.5s", "-4s", "0".
std::string Offset(int64_t ns) {
  if (ns == 0) return "0";
  std::string text = ns < 0 ? "-" : "+";
  // Negating the smallest number would overflow; unsigned arithmetic wraps.
  uint64_t rest = ns < 0 ? ~static_cast<uint64_t>(ns) + 1 : ns;
  constexpr uint64_t kSecond = 1000000000;
  for (const auto& [unit, seconds] :
       {std::pair{"d", 86400}, {"h", 3600}, {"m", 60}}) {
    const uint64_t count = rest / (seconds * kSecond);
    rest %= seconds * kSecond;
    if (count > 0) absl::StrAppend(&text, count, unit, rest > 0 ? " " : "");
  }
  if (rest > 0) {
    absl::StrAppend(&text, absl::StrFormat("%g", rest / 1e9), "s");
  }
  return text;
}

// A cgroup path with the 64 digits of each id cut to the usual 12.
std::string ShortPath(const std::string& path) {
  std::vector<std::string> parts = absl::StrSplit(Printable(path), '/');
  for (std::string& part : parts) {
    const size_t id = part.find_first_not_of("0123456789abcdef");
    if (id == std::string::npos && part.size() == 64) {
      part = absl::StrCat(ShortId(part), "...");
    }
  }
  return Cut(absl::StrJoin(parts, "/"));
}

class RowBuilder {
 public:
  explicit RowBuilder(const node::InspectPodSandboxResponse& view)
      : view_(view) {
    for (const auto& ns : view.host_namespaces()) host_[ns.kind()] = ns.inode();
    for (const auto& ns : view.pod().namespaces()) {
      if (ns.mode() != "container") pod_[ns.kind()] = ns.inode();
    }
  }

  std::vector<PictureRow> Build() {
    const node::PodSandboxView& pod = view_.pod();
    for (const node::Namespace& ns : pod.namespaces()) {
      if (ns.mode() == "container" || ns.inode() == 0) continue;
      AddNamespace(ns, 0);
      AddPodDetail(ns);
    }
    if (!pod.cgroup_parent().empty()) {
      Text(0, "cgroup", absl::StrCat("below ", Printable(pod.cgroup_parent())));
    }
    for (const node::ContainerView& container : view_.containers()) {
      AddContainer(container);
    }
    return std::move(rows_);
  }

 private:
  void Text(int depth, const std::string& label, const std::string& text) {
    PictureRow row;
    row.depth = depth;
    row.right_label = label;
    row.right = text;
    rows_.push_back(std::move(row));
  }

  // The second and further rows of a namespace stand under its first.
  void Detail(const std::string& text, int depth = 0) {
    Text(depth, "", absl::StrCat("       ", text));
  }

  std::string Owner(const node::Namespace& ns) const {
    if (ns.kind() == "user" || ns.owner_user_inode() == 0) return "";
    const auto host = host_.find("user");
    if (host != host_.end() && host->second == ns.owner_user_inode()) {
      return ", owned by the node's user namespace";
    }
    const auto pod = pod_.find("user");
    if (pod != pod_.end() && pod->second == ns.owner_user_inode()) {
      return ", owned by the pod's user namespace";
    }
    return absl::StrCat(", owned by user namespace ", ns.owner_user_inode());
  }

  void AddNamespace(const node::Namespace& ns, int depth) {
    PictureRow row;
    row.depth = depth;
    row.left_label = Printable(ns.kind());
    const auto host = host_.find(ns.kind());
    if (host != host_.end()) row.left = absl::StrCat(host->second);
    row.right_label = row.left_label;
    if (ns.is_host()) {
      row.tie = Tie::kSame;
      row.right = "the node's own";
    } else {
      row.right = absl::StrCat(ns.inode(), Owner(ns));
      if (ns.mode() == "target") row.right += ", of another container";
    }
    rows_.push_back(std::move(row));
  }

  template <class Mappings>
  void AddMappings(const char* what, const Mappings& mappings) {
    for (const auto& map : mappings) {
      if (map.length() == 0) continue;
      const uint64_t last = map.length() - 1;
      Detail(absl::StrCat(what, " ", map.container_id(), "..",
                          map.container_id() + last,
                          " inside = ", map.host_id(), "..",
                          map.host_id() + last, " on the node"));
    }
  }

  void AddPodDetail(const node::Namespace& ns) {
    const node::PodSandboxView& pod = view_.pod();
    if (ns.kind() == "user") {
      AddMappings("uid", pod.uid_mappings());
      AddMappings("gid", pod.gid_mappings());
    } else if (ns.kind() == "net" && !ns.is_host()) {
      AddInterfaces(pod);
    } else if (ns.kind() == "uts" && !pod.hostname().empty()) {
      Detail(absl::StrCat("hostname ", Printable(pod.hostname())));
    } else if (ns.kind() == "time" && !ns.is_host()) {
      Detail(absl::StrCat("boot time ", Offset(pod.boottime_offset_ns()),
                          ", monotonic ", Offset(pod.monotonic_offset_ns())));
    } else if (ns.kind() == "pid" && pod.has_pod_init()) {
      AddProcess(pod.pod_init(), 0);
    }
  }

  void AddInterfaces(const node::PodSandboxView& pod) {
    bool cable_drawn = pod.host_ifname().empty();
    for (const node::Interface& link : pod.interfaces()) {
      Detail(absl::StrCat(Printable(link.name()), "  ",
                          absl::StrJoin(link.addresses(), "  "), "  mtu ",
                          link.mtu(), link.up() ? "  up" : "  down"));
      if (!cable_drawn && link.name() != "lo") {
        cable_drawn = true;
        rows_.back().tie = Tie::kCable;
        rows_.back().left =
            absl::StrCat("       ", Printable(pod.host_ifname()));
      }
    }
    for (const node::Route& route : pod.routes()) {
      Detail(absl::StrCat(
          "route ", Printable(route.destination()),
          route.gateway().empty() ? "" : " via " + Printable(route.gateway()),
          " dev ", Printable(route.device())));
    }
  }

  // "0" for a host id that the pod's mapping knows, else "?".
  template <class Mappings>
  std::string Inside(uint32_t host_id, const Mappings& mappings) const {
    if (mappings.empty()) return absl::StrCat(host_id);
    for (const auto& map : mappings) {
      if (host_id >= map.host_id() && host_id - map.host_id() < map.length()) {
        return absl::StrCat(host_id - map.host_id() + map.container_id());
      }
    }
    return "?";
  }

  void AddProcess(const node::Process& process, int depth) {
    PictureRow row;
    row.tie = Tie::kCable;
    row.depth = depth;
    row.left_label = "pid";
    row.left = absl::StrFormat("%-7d uid %-6d gid %d", process.host_pid(),
                               process.host_uid(), process.host_gid());
    row.right_label = "pid";
    row.right =
        absl::StrFormat("%-5d uid %-4s %s", process.inner_pid(),
                        Inside(process.host_uid(), view_.pod().uid_mappings()),
                        Cut(process.command()));
    rows_.push_back(std::move(row));
  }

  void AddContainer(const node::ContainerView& container) {
    Edge(Kind::kBoxTop, Printable(absl::StrCat(
                            "container ", container.name(), "  ",
                            absl::StripPrefix(container.state(), "CONTAINER_"),
                            "  ", ShortId(container.id()))));
    std::vector<std::string> shared;
    for (const node::Namespace& ns : container.namespaces()) {
      if (ns.inode() == 0) continue;
      const auto pod = pod_.find(ns.kind());
      if (pod != pod_.end() && pod->second == ns.inode()) {
        shared.push_back(Printable(ns.kind()));
        continue;
      }
      AddNamespace(ns, 1);
      if (ns.kind() == "cgroup") Detail(ShortPath(container.cgroup_path()), 1);
    }
    if (!shared.empty()) {
      Text(1, "",
           absl::StrCat("shared with the pod: ", absl::StrJoin(shared, " ")));
    }
    AddMounts(container);
    for (const node::Process& process : container.processes()) {
      AddProcess(process, 1);
    }
    Edge(Kind::kBoxBottom, "");
  }

  void AddMounts(const node::ContainerView& container) {
    if (container.mounts().empty()) return;
    std::string root = "?";
    for (const node::MountPoint& mount : container.mounts()) {
      if (mount.target() == "/") root = Printable(mount.fs_type());
    }
    Text(1, "mounts",
         absl::StrCat(container.mounts_size(), ", root on ", root));
  }

  void Edge(Kind kind, const std::string& title) {
    PictureRow row;
    row.kind = kind;
    row.right = title;
    rows_.push_back(std::move(row));
  }

  const node::InspectPodSandboxResponse& view_;
  std::map<std::string, uint64_t> host_;
  std::map<std::string, uint64_t> pod_;
  std::vector<PictureRow> rows_;
};

}  // namespace

std::vector<PictureRow> NamespaceRows(
    const node::InspectPodSandboxResponse& view) {
  return RowBuilder(view).Build();
}

}  // namespace warren::agent::ctl
