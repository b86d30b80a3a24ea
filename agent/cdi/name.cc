#include "agent/cdi/name.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <map>
#include <set>

#include "agent/cri/validate.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

constexpr absl::string_view kAnnotation = "cdi.k8s.io/";
constexpr size_t kMaxVendorBytes = 253;
constexpr size_t kMaxClassBytes = 63;
constexpr size_t kMaxDeviceBytes = 253;
constexpr size_t kMaxNames = 256;  // of one container

bool IsAlnum(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c));
}

bool AllOf(absl::string_view text, absl::string_view marks, size_t max) {
  if (text.empty() || text.size() > max || !IsAlnum(text.front()) ||
      !IsAlnum(text.back())) {
    return false;
  }
  for (const char c : text) {
    if (!IsAlnum(c) && !absl::StrContains(marks, c)) return false;
  }
  return true;
}

absl::Status AddName(const std::string& field, absl::string_view text,
                     std::set<std::string>* known,
                     std::vector<CdiName>* names) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '=');
  if (parts.size() != 2 || !IsCdiKind(parts[0]) || !IsCdiDevice(parts[1])) {
    return Invalid(
        field, absl::StrCat(Shown(text), " is not like vendor/class=device"));
  }
  if (!known->insert(std::string(text)).second) return absl::OkStatus();
  if (names->size() >= kMaxNames) {
    return Invalid(field, absl::StrCat("with it there are more than ",
                                       kMaxNames, " CDI devices"));
  }
  names->push_back({field, std::string(parts[0]), std::string(parts[1])});
  return absl::OkStatus();
}

}  // namespace

bool IsCdiKind(absl::string_view kind) {
  const std::vector<absl::string_view> parts = absl::StrSplit(kind, '/');
  return parts.size() == 2 && AllOf(parts[0], "_-.", kMaxVendorBytes) &&
         AllOf(parts[1], "_-.", kMaxClassBytes) &&
         absl::ascii_isalpha(static_cast<unsigned char>(parts[0][0])) &&
         absl::ascii_isalpha(static_cast<unsigned char>(parts[1][0]));
}

bool IsCdiDevice(absl::string_view device) {
  return AllOf(device, "_-.:", kMaxDeviceBytes);
}

absl::StatusOr<std::vector<CdiName>> CdiNames(
    const cri::ContainerConfig& config) {
  std::vector<CdiName> names;
  std::set<std::string> known;
  for (int i = 0; i < config.cdi_devices_size(); ++i) {
    RETURN_IF_ERROR(AddName(absl::StrCat("config.CDI_devices[", i, "].name"),
                            config.cdi_devices(i).name(), &known, &names));
  }
  const std::map<std::string, std::string> sorted(config.annotations().begin(),
                                                  config.annotations().end());
  for (const auto& [key, value] : sorted) {
    if (!absl::StartsWith(key, kAnnotation)) continue;
    const std::string field =
        absl::StrCat("config.annotations[", Shown(key), "]");
    for (absl::string_view name : absl::StrSplit(value, ',')) {
      RETURN_IF_ERROR(AddName(field, name, &known, &names));
    }
  }
  return names;
}

}  // namespace warren::agent
