#include "agent/pods/same_request.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

namespace warren::agent {
namespace {

// Which a kubelet computes from the container as its pod describes it.
constexpr char kHashAnnotation[] = "io.kubernetes.container.hash";
constexpr char kOwnPrefix[] = "warren.dev/";

class Differences {
 public:
  // `same`: whether the field named by `path` is equal in both.
  void Expect(bool same, const char* path) {
    if (!same) paths_.emplace_back(path);
  }
  std::vector<std::string> Take() { return std::move(paths_); }

 private:
  std::vector<std::string> paths_;
};

template <typename List>
bool SameList(const List& first, const List& again) {
  return std::equal(first.begin(), first.end(), again.begin(), again.end());
}

template <typename List>
auto AsSet(const List& list) {
  return std::set<typename List::value_type>(list.begin(), list.end());
}

template <typename List>
bool SameSet(const List& first, const List& again) {
  return AsSet(first) == AsSet(again);
}

template <typename Map>
bool SameMap(const Map& first, const Map& again) {
  return std::map<std::string, std::string>(first.begin(), first.end()) ==
         std::map<std::string, std::string>(again.begin(), again.end());
}

std::set<std::pair<std::string, std::string>> Envs(
    const cri::ContainerConfig& config) {
  std::set<std::pair<std::string, std::string>> envs;
  for (const cri::KeyValue& env : config.envs()) {
    envs.emplace(env.key(), env.value());
  }
  return envs;
}

std::optional<std::string> Hash(const cri::ContainerConfig& config) {
  const auto found = config.annotations().find(kHashAnnotation);
  if (found == config.annotations().end()) return std::nullopt;
  return found->second;
}

// An id that is absent is not the id 0.
std::optional<int64_t> IdOf(bool present, const cri::Int64Value& value) {
  if (!present) return std::nullopt;
  return value.value();
}

void CompareUsers(const cri::LinuxContainerSecurityContext& first,
                  const cri::LinuxContainerSecurityContext& again,
                  Differences* differences) {
  differences->Expect(IdOf(first.has_run_as_user(), first.run_as_user()) ==
                          IdOf(again.has_run_as_user(), again.run_as_user()),
                      "config.linux.security_context.run_as_user");
  differences->Expect(IdOf(first.has_run_as_group(), first.run_as_group()) ==
                          IdOf(again.has_run_as_group(), again.run_as_group()),
                      "config.linux.security_context.run_as_group");
  differences->Expect(
      SameSet(first.supplemental_groups(), again.supplemental_groups()),
      "config.linux.security_context.supplemental_groups");
  differences->Expect(
      first.supplemental_groups_policy() == again.supplemental_groups_policy(),
      "config.linux.security_context.supplemental_groups_policy");
}

bool SameCapabilities(const cri::Capability& first,
                      const cri::Capability& again) {
  return SameSet(first.add_capabilities(), again.add_capabilities()) &&
         SameSet(first.drop_capabilities(), again.drop_capabilities()) &&
         SameSet(first.add_ambient_capabilities(),
                 again.add_ambient_capabilities());
}

using Port = std::tuple<int, int, int, std::string>;

std::set<Port> Ports(const cri::PodSandboxConfig& config) {
  std::set<Port> ports;
  for (const cri::PortMapping& port : config.port_mappings()) {
    ports.emplace(port.protocol(), port.container_port(), port.host_port(),
                  port.host_ip());
  }
  return ports;
}

std::map<std::string, std::string> OwnAnnotations(
    const cri::PodSandboxConfig& config) {
  std::map<std::string, std::string> own;
  std::copy_if(config.annotations().begin(), config.annotations().end(),
               std::inserter(own, own.end()), [](const auto& annotation) {
                 return absl::StartsWith(annotation.first, kOwnPrefix);
               });
  return own;
}

// The security context without its groups, whose order says nothing.
cri::LinuxSandboxSecurityContext WithoutGroups(
    cri::LinuxSandboxSecurityContext context) {
  context.clear_supplemental_groups();
  context.DiscardUnknownFields();
  return context;
}

}  // namespace

std::vector<std::string> DifferingFields(const cri::ContainerConfig& first,
                                         const cri::ContainerConfig& again) {
  Differences differences;
  differences.Expect(first.image().image() == again.image().image(),
                     "config.image.image");
  differences.Expect(SameList(first.command(), again.command()),
                     "config.command");
  differences.Expect(SameList(first.args(), again.args()), "config.args");
  differences.Expect(Envs(first) == Envs(again), "config.envs");
  const cri::LinuxContainerSecurityContext& had =
      first.linux().security_context();
  const cri::LinuxContainerSecurityContext& asks =
      again.linux().security_context();
  CompareUsers(had, asks, &differences);
  differences.Expect(had.run_as_username() == asks.run_as_username(),
                     "config.linux.security_context.run_as_username");
  differences.Expect(SameCapabilities(had.capabilities(), asks.capabilities()),
                     "config.linux.security_context.capabilities");
  differences.Expect(had.privileged() == asks.privileged(),
                     "config.linux.security_context.privileged");
  differences.Expect(Hash(first) == Hash(again),
                     "config.annotations[\"io.kubernetes.container.hash\"]");
  return differences.Take();
}

std::vector<std::string> DifferingFields(const cri::PodSandboxConfig& first,
                                         const cri::PodSandboxConfig& again) {
  Differences differences;
  differences.Expect(first.hostname() == again.hostname(), "config.hostname");
  differences.Expect(Ports(first) == Ports(again), "config.port_mappings");
  differences.Expect(OwnAnnotations(first) == OwnAnnotations(again),
                     "config.annotations[\"warren.dev/*\"]");
  differences.Expect(
      first.linux().cgroup_parent() == again.linux().cgroup_parent(),
      "config.linux.cgroup_parent");
  differences.Expect(SameMap(first.linux().sysctls(), again.linux().sysctls()),
                     "config.linux.sysctls");
  const cri::LinuxSandboxSecurityContext& had =
      first.linux().security_context();
  const cri::LinuxSandboxSecurityContext& asks =
      again.linux().security_context();
  // Equivalent: a message that is absent equals one that says nothing.
  const bool same =
      SameSet(had.supplemental_groups(), asks.supplemental_groups()) &&
      google::protobuf::util::MessageDifferencer::Equivalent(
          WithoutGroups(had), WithoutGroups(asks));
  differences.Expect(same, "config.linux.security_context");
  return differences.Take();
}

absl::Status CheckSame(const std::string& what,
                       const std::vector<std::string>& fields) {
  if (fields.empty()) return absl::OkStatus();
  return absl::AlreadyExistsError(
      absl::StrCat(what, " is taken, and the request differs in ",
                   absl::StrJoin(fields, ", ")));
}

}  // namespace warren::agent
