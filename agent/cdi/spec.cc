#include "agent/cdi/spec.h"

#include <absl/strings/str_cat.h>
#include <sys/stat.h>

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "agent/cdi/name.h"
#include "agent/cri/validate.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

using image::FindKey;
using image::Json;
using image::OptionalString;
using image::OptionalStrings;
using image::RequiredString;

constexpr const char* kVersions[] = {"0.3.0", "0.4.0", "0.5.0", "0.6.0",
                                     "0.7.0", "0.8.0", "1.0.0", "1.1.0"};
constexpr size_t kMaxItems = 4096;  // of one list
// Linux' own device numbers (MINORBITS of linux/kdev_t.h).
constexpr uint32_t kMaxMajor = (1 << 12) - 1;
constexpr uint32_t kMaxMinor = (1 << 20) - 1;

absl::Status CheckKeys(const Json& object,
                       std::initializer_list<const char*> known) {
  if (!object.is_object()) {
    return absl::InvalidArgumentError("is not an object");
  }
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return Invalid(Shown(key), "is unknown");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<uint32_t>> OptionalNumber(const Json& object,
                                                       const char* key,
                                                       uint32_t max) {
  const Json* value = FindKey(object, key);
  if (value == nullptr) return std::optional<uint32_t>();
  const bool whole = value->is_number_unsigned() ||
                     (value->is_number_integer() && value->get<int64_t>() >= 0);
  if (!whole || value->get<uint64_t>() > max) {
    return Invalid(key, absl::StrCat("is not a number from 0 to ", max));
  }
  return std::optional<uint32_t>(value->get<uint32_t>());
}

// The items of a list; none when it is missing.
absl::StatusOr<const Json*> OptionalList(const Json& object, const char* key) {
  static const auto* const kNone = new Json(Json::array());
  if (FindKey(object, key) == nullptr) return kNone;
  return image::RequiredList(object, key, kMaxItems);
}

absl::Status ReadType(const Json& in, runtime::DeviceRequest* out,
                      CdiEdits* edits) {
  ASSIGN_OR_RETURN(const std::string type, OptionalString(in, "type"));
  ASSIGN_OR_RETURN(const auto major, OptionalNumber(in, "major", kMaxMajor));
  ASSIGN_OR_RETURN(const auto minor, OptionalNumber(in, "minor", kMaxMinor));
  if (type == "p") {
    edits->unsupported = "deviceNodes of type \"p\"";
    return absl::OkStatus();
  }
  if (type == "c" || type == "u") {
    out->type = S_IFCHR;
  } else if (type == "b") {
    out->type = S_IFBLK;
  } else if (!type.empty()) {
    return Invalid("type", "is none of b, c, u and p");
  }
  // 0 means: not given, look at the host's.
  if (major.value_or(0) == 0) {
    if (minor.value_or(0) == 0) return absl::OkStatus();
    return Invalid("minor", "needs a major");
  }
  if (!out->type.has_value()) return Invalid("major", "needs a type");
  out->number = {*out->type, *major, minor.value_or(0)};
  return absl::OkStatus();
}

absl::Status ReadDevice(const Json& in, const std::string& field,
                        CdiEdits* edits) {
  RETURN_IF_ERROR(CheckKeys(in, {"path", "hostPath", "type", "major", "minor",
                                 "fileMode", "permissions", "uid", "gid"}));
  runtime::DeviceRequest out;
  out.field = field;
  ASSIGN_OR_RETURN(const std::string path, RequiredString(in, "path"));
  ASSIGN_OR_RETURN(out.container_path, CheckAbsolutePath("path", path));
  ASSIGN_OR_RETURN(const std::string host, OptionalString(in, "hostPath"));
  ASSIGN_OR_RETURN(out.host_path,
                   CheckAbsolutePath("hostPath", host.empty() ? path : host));
  RETURN_IF_ERROR(ReadType(in, &out, edits));
  ASSIGN_OR_RETURN(out.mode, OptionalNumber(in, "fileMode", 07777));
  ASSIGN_OR_RETURN(out.uid, OptionalNumber(in, "uid", INT32_MAX));
  ASSIGN_OR_RETURN(out.gid, OptionalNumber(in, "gid", INT32_MAX));
  ASSIGN_OR_RETURN(const std::string access, OptionalString(in, "permissions"));
  if (!access.empty()) {
    ASSIGN_OR_RETURN(out.access, ParseDeviceAccess("permissions", access));
  }
  edits->devices.push_back(std::move(out));
  return absl::OkStatus();
}

// False: an option that is not known.
bool ApplyMountOption(absl::string_view option, runtime::MountSpec* mount) {
  using runtime::MountPropagation;
  if (option == "ro" || option == "rw") {
    mount->readonly = option == "ro";
  } else if (option == "nosuid" || option == "suid") {
    mount->nosuid = option == "nosuid";
  } else if (option == "nodev" || option == "dev") {
    mount->nodev = option == "nodev";
  } else if (option == "noexec" || option == "exec") {
    mount->noexec = option == "noexec";
  } else if (option == "bind" || option == "rbind") {
    mount->recursive = option == "rbind";
  } else if (option == "private" || option == "rprivate") {
    mount->propagation = MountPropagation::kPrivate;
  } else if (option == "slave" || option == "rslave") {
    mount->propagation = MountPropagation::kHostToContainer;
  } else if (option == "shared" || option == "rshared") {
    mount->propagation = MountPropagation::kBidirectional;
  } else {
    return false;
  }
  return true;
}

absl::Status ReadMount(const Json& in, const std::string& field,
                       CdiEdits* edits) {
  RETURN_IF_ERROR(
      CheckKeys(in, {"hostPath", "containerPath", "options", "type"}));
  runtime::MountSpec out;
  ASSIGN_OR_RETURN(const std::string host, RequiredString(in, "hostPath"));
  ASSIGN_OR_RETURN(out.host_path, CheckAbsolutePath("hostPath", host));
  ASSIGN_OR_RETURN(const std::string path, RequiredString(in, "containerPath"));
  ASSIGN_OR_RETURN(out.container_path,
                   CheckAbsolutePath("containerPath", path));
  ASSIGN_OR_RETURN(const std::string type, OptionalString(in, "type"));
  if (!type.empty() && type != "bind" && type != "none") {
    edits->unsupported = absl::StrCat(field, " of type ", Shown(type));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> options,
                   OptionalStrings(in, "options"));
  for (const std::string& option : options) {
    if (!ApplyMountOption(option, &out)) {
      edits->unsupported = absl::StrCat(field, " with option ", Shown(option));
    }
  }
  edits->mounts.push_back(std::move(out));
  return absl::OkStatus();
}

absl::Status ReadEnv(const Json& in, CdiEdits* edits) {
  ASSIGN_OR_RETURN(edits->env, OptionalStrings(in, "env"));
  for (const std::string& entry : edits->env) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos) {
      return Invalid("env", absl::StrCat(Shown(entry), " has no \"=\""));
    }
    RETURN_IF_ERROR(CheckEnvKey("env", entry.substr(0, equals)));
  }
  return absl::OkStatus();
}

absl::Status ReadGroups(const Json& in, const char* key, CdiEdits* edits) {
  ASSIGN_OR_RETURN(const Json* groups, OptionalList(in, key));
  for (const Json& group : *groups) {
    Json holder = Json::object();
    holder[key] = group;
    ASSIGN_OR_RETURN(const auto id, OptionalNumber(holder, key, INT32_MAX));
    if (!id.has_value()) return Invalid(key, "holds null");
    edits->groups.push_back(*id);
  }
  return absl::OkStatus();
}

absl::StatusOr<CdiEdits> ReadEdits(const Json& parent) {
  CdiEdits edits;
  const Json* in = FindKey(parent, "containerEdits");
  if (in == nullptr) return edits;
  if (!in->is_object()) return Invalid("containerEdits", "is not an object");
  for (const auto& [key, value] : in->items()) {
    const bool known = key == "env" || key == "deviceNodes" ||
                       key == "mounts" || key == "additionalGids" ||
                       key == "additionalGIDs";
    if (!known && !value.is_null() && !value.empty()) {
      edits.unsupported = Shown(key);
    }
  }
  RETURN_IF_ERROR(ReadEnv(*in, &edits));
  RETURN_IF_ERROR(ReadGroups(*in, "additionalGids", &edits));
  RETURN_IF_ERROR(ReadGroups(*in, "additionalGIDs", &edits));
  ASSIGN_OR_RETURN(const Json* nodes, OptionalList(*in, "deviceNodes"));
  for (size_t i = 0; i < nodes->size(); ++i) {
    const std::string field = absl::StrCat("deviceNodes[", i, "]");
    RETURN_IF_ERROR_IN(ReadDevice((*nodes)[i], field, &edits), field);
  }
  ASSIGN_OR_RETURN(const Json* mounts, OptionalList(*in, "mounts"));
  for (size_t i = 0; i < mounts->size(); ++i) {
    const std::string field = absl::StrCat("mounts[", i, "]");
    RETURN_IF_ERROR_IN(ReadMount((*mounts)[i], field, &edits), field);
  }
  return edits;
}

}  // namespace

absl::StatusOr<CdiSpec> ParseCdiSpec(const Json& document) {
  RETURN_IF_ERROR(CheckKeys(document, {"cdiVersion", "kind", "annotations",
                                       "devices", "containerEdits"}));
  ASSIGN_OR_RETURN(const std::string version,
                   RequiredString(document, "cdiVersion"));
  if (std::find(std::begin(kVersions), std::end(kVersions), version) ==
      std::end(kVersions)) {
    return Invalid("cdiVersion", absl::StrCat(Shown(version), " is unknown"));
  }
  CdiSpec spec;
  ASSIGN_OR_RETURN(spec.kind, RequiredString(document, "kind"));
  if (!IsCdiKind(spec.kind)) {
    return Invalid("kind",
                   absl::StrCat(Shown(spec.kind), " is not vendor/class"));
  }
  ASSIGN_OR_RETURN(spec.edits, ReadEdits(document));
  ASSIGN_OR_RETURN(const Json* devices,
                   image::RequiredList(document, "devices", kMaxItems));
  for (size_t i = 0; i < devices->size(); ++i) {
    const Json& device = (*devices)[i];
    const std::string field = absl::StrCat("devices[", i, "]");
    RETURN_IF_ERROR_IN(
        CheckKeys(device, {"name", "annotations", "containerEdits"}), field);
    ASSIGN_OR_RETURN_IN(const std::string name, RequiredString(device, "name"),
                        field);
    if (!IsCdiDevice(name)) {
      return Invalid(absl::StrCat(field, ".name"),
                     absl::StrCat(Shown(name), " is not a device name"));
    }
    ASSIGN_OR_RETURN_IN(CdiEdits edits, ReadEdits(device), field);
    if (!spec.devices.emplace(name, std::move(edits)).second) {
      return Invalid(absl::StrCat(field, ".name"),
                     absl::StrCat(Shown(name), " is there twice"));
    }
  }
  return spec;
}

void Append(const CdiEdits& more, CdiEdits* edits) {
  const auto add = [](const auto& from, auto* to) {
    to->insert(to->end(), from.begin(), from.end());
  };
  add(more.env, &edits->env);
  add(more.devices, &edits->devices);
  add(more.mounts, &edits->mounts);
  add(more.groups, &edits->groups);
  if (edits->unsupported.empty()) edits->unsupported = more.unsupported;
}

}  // namespace warren::agent
