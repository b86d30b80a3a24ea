#include "agent/cri/capability_names.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <iterator>

#include "agent/cri/validate.h"
#include "runtime/base/capability.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

using base::kCapabilityNames;
constexpr int kCount = std::size(kCapabilityNames);

constexpr absl::string_view kDefaults[] = {
    "CHOWN",   "DAC_OVERRIDE", "FSETID",     "FOWNER",          "MKNOD",
    "NET_RAW", "SETGID",       "SETUID",     "SETFCAP",         "SETPCAP",
    "KILL",    "AUDIT_WRITE",  "SYS_CHROOT", "NET_BIND_SERVICE"};

// "cap_chown" -> "CHOWN"
std::string Canonical(absl::string_view name) {
  const std::string upper = absl::AsciiStrToUpper(name);
  return std::string(absl::StripPrefix(upper, "CAP_"));
}

// Splits a list into ALL or not, and the mask of the rest.
struct Request {
  bool all = false;
  uint64_t mask = 0;
};
absl::StatusOr<Request> Read(
    absl::string_view field,
    const google::protobuf::RepeatedPtrField<std::string>& names) {
  Request request;
  for (const std::string& name : names) {
    if (Canonical(name) == "ALL") {
      request.all = true;
      continue;
    }
    const uint64_t mask = CapabilityMask(name);
    if (mask == 0) {
      return Invalid(field, absl::StrCat(Shown(name), " is no capability"));
    }
    request.mask |= mask;
  }
  return request;
}

}  // namespace

uint64_t AllCapabilities() { return (uint64_t{1} << kCount) - 1; }

uint64_t CapabilityMask(absl::string_view name) {
  const std::string canonical = Canonical(name);
  for (int i = 0; i < kCount; ++i) {
    if (kCapabilityNames[i] == canonical) return uint64_t{1} << i;
  }
  return 0;
}

uint64_t DefaultCapabilities() {
  uint64_t mask = 0;
  for (absl::string_view name : kDefaults) mask |= CapabilityMask(name);
  return mask;
}

std::vector<std::string> CapabilityNames(uint64_t mask) {
  std::vector<std::string> names;
  for (int i = 0; i < kCount; ++i) {
    if ((mask >> i & 1) != 0)
      names.push_back(absl::StrCat("CAP_", kCapabilityNames[i]));
  }
  return names;
}

absl::StatusOr<CapabilitySets> ApplyCapabilities(
    absl::string_view field, const cri::Capability& request) {
  ASSIGN_OR_RETURN(const Request add,
                   Read(absl::StrCat(field, ".add_capabilities"),
                        request.add_capabilities()));
  ASSIGN_OR_RETURN(const Request drop,
                   Read(absl::StrCat(field, ".drop_capabilities"),
                        request.drop_capabilities()));
  ASSIGN_OR_RETURN(const Request ambient,
                   Read(absl::StrCat(field, ".add_ambient_capabilities"),
                        request.add_ambient_capabilities()));
  CapabilitySets sets;
  sets.bounding = DefaultCapabilities();
  if (add.all || ambient.all) sets.bounding = AllCapabilities();
  if (ambient.all) sets.ambient = AllCapabilities();
  if (drop.all) sets = {};
  sets.ambient = (sets.ambient | ambient.mask) & ~drop.mask;
  sets.bounding = (sets.bounding | add.mask | sets.ambient) & ~drop.mask;
  return sets;
}

}  // namespace warren::agent
