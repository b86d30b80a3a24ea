#include "runtime/devices/rules.h"

#include <absl/strings/str_cat.h>
#include <sys/stat.h>

#include <map>
#include <tuple>

namespace warren::runtime {
namespace {

std::string OrStar(const std::optional<uint32_t>& number) {
  return number.has_value() ? absl::StrCat(*number) : std::string("*");
}

}  // namespace

const DeviceRules& StandardDeviceRules() {
  static const auto* const kRules = new DeviceRules{
      {S_IFCHR, std::nullopt, std::nullopt, kDeviceMknod},
      {S_IFBLK, std::nullopt, std::nullopt, kDeviceMknod},
      {S_IFCHR, 1, 3, kDeviceAll},               // null
      {S_IFCHR, 1, 5, kDeviceAll},               // zero
      {S_IFCHR, 1, 7, kDeviceAll},               // full
      {S_IFCHR, 1, 8, kDeviceAll},               // random
      {S_IFCHR, 1, 9, kDeviceAll},               // urandom
      {S_IFCHR, 5, 0, kDeviceAll},               // tty
      {S_IFCHR, 5, 2, kDeviceAll},               // ptmx
      {S_IFCHR, 136, std::nullopt, kDeviceAll},  // pts
  };
  return *kRules;
}

DeviceRules RulesFor(const std::vector<DeviceNode>& nodes) {
  DeviceRules rules = StandardDeviceRules();
  std::map<std::tuple<uint32_t, uint32_t, uint32_t>, size_t> places;
  for (size_t i = 0; i < rules.size(); ++i) {
    const DeviceRule& rule = rules[i];
    if (rule.major.has_value() && rule.minor.has_value()) {
      places[{rule.type, *rule.major, *rule.minor}] = i;
    }
  }
  for (const DeviceNode& node : nodes) {
    const DeviceNumber& n = node.number;
    const auto [place, fresh] =
        places.try_emplace({n.type, n.major, n.minor}, rules.size());
    if (fresh) rules.push_back({n.type, n.major, n.minor, 0});
    rules[place->second].access |= node.access;
  }
  return rules;
}

std::string ToV1Text(const DeviceRule& rule) {
  return absl::StrCat(rule.type == S_IFBLK ? "b " : "c ", OrStar(rule.major),
                      ":", OrStar(rule.minor), " ",
                      (rule.access & kDeviceRead) != 0 ? "r" : "",
                      (rule.access & kDeviceWrite) != 0 ? "w" : "",
                      (rule.access & kDeviceMknod) != 0 ? "m" : "");
}

}  // namespace warren::runtime
