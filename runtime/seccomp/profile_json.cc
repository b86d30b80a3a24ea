#include "runtime/seccomp/profile_json.h"

#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <linux/seccomp.h>

#include <cerrno>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/image/json.h"
#include "runtime/seccomp/names.h"

namespace warren::seccomp {
namespace {

using image::FindKey;
using image::Json;

// The kernel takes 4095 too (MAX_ERRNO), libseccomp 2.5 does not.
constexpr uint64_t kMaxErrno = 4094;
constexpr uint64_t kMaxTraceData = 65535;
constexpr size_t kShownBytes = 64;
constexpr size_t kMaxCallNameBytes = 64;

absl::Status Invalid(absl::string_view where, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", why));
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kShownBytes)),
                      "\"");
}

// "syscalls[3]" + "action"; the outermost object has no name.
std::string Within(absl::string_view where, absl::string_view key) {
  return where.empty() ? std::string(key) : absl::StrCat(where, ".", key);
}

// ---- Values ---------------------------------------------------------------

absl::Status CheckKeys(absl::string_view where, const Json& object,
                       std::initializer_list<const char*> known) {
  if (!object.is_object()) return Invalid(where, "is not an object");
  for (const auto& [key, value] : object.items()) {
    bool found = key == "comment" || absl::StartsWith(key, "$");
    for (const char* name : known) found |= key == name;
    if (!found) {
      return Invalid(Within(where, Quoted(key)), "is unknown here");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> String(absl::string_view where, const Json& object,
                                   const char* key) {
  const Json* value = FindKey(object, key);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return Invalid(Within(where, key), "is no string");
  return value->get<std::string>();
}

// An empty list when it is missing.
absl::StatusOr<const Json*> List(absl::string_view where, const Json& object,
                                 const char* key) {
  static const Json* const kNone = new Json(Json::array());
  const Json* value = FindKey(object, key);
  if (value == nullptr) return kNone;
  if (!value->is_array()) return Invalid(Within(where, key), "is no list");
  return value;
}

absl::StatusOr<std::vector<std::string>> Strings(absl::string_view where,
                                                 const Json& object,
                                                 const char* key) {
  ASSIGN_OR_RETURN(const Json* list, List(where, object, key));
  std::vector<std::string> all;
  for (const Json& item : *list) {
    if (!item.is_string()) {
      return Invalid(absl::StrCat(Within(where, key), "[", all.size(), "]"),
                     "is no string");
    }
    all.push_back(item.get<std::string>());
  }
  return all;
}

absl::StatusOr<std::optional<uint64_t>> Number(absl::string_view where,
                                               const Json& object,
                                               const char* key,
                                               uint64_t limit) {
  const Json* value = FindKey(object, key);
  if (value == nullptr) return std::optional<uint64_t>();
  if (!value->is_number_unsigned() || value->get<uint64_t>() > limit) {
    return Invalid(Within(where, key),
                   absl::StrCat("is no whole number of 0..", limit));
  }
  return std::optional<uint64_t>(value->get<uint64_t>());
}

// ---- Actions --------------------------------------------------------------

absl::StatusOr<ActionKind> ParseActionName(absl::string_view where,
                                           absl::string_view name) {
  constexpr std::pair<const char*, ActionKind> kNames[] = {
      {"SCMP_ACT_KILL", ActionKind::kKillThread},
      {"SCMP_ACT_KILL_THREAD", ActionKind::kKillThread},
      {"SCMP_ACT_KILL_PROCESS", ActionKind::kKillProcess},
      {"SCMP_ACT_TRAP", ActionKind::kTrap},
      {"SCMP_ACT_ERRNO", ActionKind::kErrno},
      {"SCMP_ACT_TRACE", ActionKind::kTrace},
      {"SCMP_ACT_LOG", ActionKind::kLog},
      {"SCMP_ACT_ALLOW", ActionKind::kAllow}};
  for (const auto& [known, kind] : kNames) {
    if (name == known) return kind;
  }
  if (name.empty()) return Invalid(where, "is missing");
  if (name == "SCMP_ACT_NOTIFY") {
    return Invalid(where,
                   "SCMP_ACT_NOTIFY is not supported: there is no agent that "
                   "would answer");
  }
  return Invalid(where, absl::StrCat(Quoted(name), " is unknown"));
}

// Action, and the number that goes with it by value or by name.
absl::StatusOr<Action> ParseAction(absl::string_view where, const Json& object,
                                   const char* action_key,
                                   const char* number_key,
                                   const char* name_key) {
  Action action;
  ASSIGN_OR_RETURN(const std::string text, String(where, object, action_key));
  ASSIGN_OR_RETURN(action.kind,
                   ParseActionName(Within(where, action_key), text));
  const bool traced = action.kind == ActionKind::kTrace;
  if (action.kind == ActionKind::kErrno || traced) action.data = EPERM;
  ASSIGN_OR_RETURN(
      const auto number,
      Number(where, object, number_key, traced ? kMaxTraceData : kMaxErrno));
  ASSIGN_OR_RETURN(const std::string name, String(where, object, name_key));
  if (!number.has_value() && name.empty()) return action;
  if (action.kind != ActionKind::kErrno && !traced) {
    return Invalid(Within(where, number.has_value() ? number_key : name_key),
                   absl::StrCat("means nothing with ", text));
  }
  if (number.has_value()) action.data = static_cast<uint16_t>(*number);
  if (name.empty()) return action;
  const auto error = ErrnoByName(name);
  if (!error.has_value()) {
    return Invalid(Within(where, name_key),
                   absl::StrCat(Quoted(name), " is no error's name"));
  }
  if (number.has_value() && *number != *error) {
    return Invalid(Within(where, name_key),
                   absl::StrCat("is not the ", number_key, " beside it"));
  }
  action.data = *error;
  return action;
}

// ---- Rules ----------------------------------------------------------------

absl::StatusOr<ArgumentCheck> ParseArgument(const std::string& where,
                                            const Json& object) {
  constexpr std::pair<const char*, Comparison> kNames[] = {
      {"SCMP_CMP_NE", Comparison::kNotEqual},
      {"SCMP_CMP_LT", Comparison::kLess},
      {"SCMP_CMP_LE", Comparison::kLessOrEqual},
      {"SCMP_CMP_EQ", Comparison::kEqual},
      {"SCMP_CMP_GE", Comparison::kGreaterOrEqual},
      {"SCMP_CMP_GT", Comparison::kGreater},
      {"SCMP_CMP_MASKED_EQ", Comparison::kMaskedEqual}};
  RETURN_IF_ERROR(
      CheckKeys(where, object, {"index", "value", "valueTwo", "op"}));
  ArgumentCheck check;
  ASSIGN_OR_RETURN(const auto index, Number(where, object, "index", 5));
  ASSIGN_OR_RETURN(const auto value,
                   Number(where, object, "value", UINT64_MAX));
  ASSIGN_OR_RETURN(const auto two,
                   Number(where, object, "valueTwo", UINT64_MAX));
  ASSIGN_OR_RETURN(const std::string op, String(where, object, "op"));
  if (!index.has_value()) return Invalid(Within(where, "index"), "is missing");
  if (!value.has_value()) return Invalid(Within(where, "value"), "is missing");
  check.index = static_cast<uint32_t>(*index);
  check.value = *value;
  check.value_two = two.value_or(0);
  for (const auto& [name, comparison] : kNames) {
    if (op != name) continue;
    check.comparison = comparison;
    return check;
  }
  return Invalid(
      Within(where, "op"),
      op.empty() ? "is missing" : absl::StrCat(Quoted(op), " is unknown"));
}

absl::StatusOr<std::optional<KernelVersion>> ParseKernel(
    absl::string_view where, const Json& object) {
  ASSIGN_OR_RETURN(const std::string text, String(where, object, "minKernel"));
  if (text.empty()) return std::optional<KernelVersion>();
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  KernelVersion version;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &version.major) ||
      !absl::SimpleAtoi(parts[1], &version.minor)) {
    return Invalid(Within(where, "minKernel"),
                   absl::StrCat(Quoted(text), " is not like \"4.8\""));
  }
  return std::optional<KernelVersion>(version);
}

absl::StatusOr<Condition> ParseCondition(absl::string_view rule,
                                         const Json& object, const char* key) {
  Condition condition;
  const Json* value = FindKey(object, key);
  if (value == nullptr) return condition;
  const std::string where = Within(rule, key);
  RETURN_IF_ERROR(CheckKeys(where, *value, {"caps", "arches", "minKernel"}));
  ASSIGN_OR_RETURN(const std::vector<std::string> caps,
                   Strings(where, *value, "caps"));
  for (const std::string& name : caps) {
    const auto number = CapabilityByName(name);
    if (!number.has_value()) {
      return Invalid(Within(where, "caps"),
                     absl::StrCat(Quoted(name), " is no capability"));
    }
    condition.capabilities |= uint64_t{1} << *number;
  }
  ASSIGN_OR_RETURN(condition.arches, Strings(where, *value, "arches"));
  ASSIGN_OR_RETURN(condition.min_kernel, ParseKernel(where, *value));
  return condition;
}

absl::StatusOr<std::vector<std::string>> ParseNames(const std::string& where,
                                                    const Json& object) {
  ASSIGN_OR_RETURN(std::vector<std::string> names,
                   Strings(where, object, "names"));
  ASSIGN_OR_RETURN(const std::string name, String(where, object, "name"));
  if (!name.empty()) {
    if (!names.empty()) {
      return Invalid(Within(where, "name"), "stands beside \"names\"");
    }
    names = {name};
  }
  if (names.empty()) return Invalid(Within(where, "names"), "is empty");
  for (const std::string& each : names) {
    if (each.empty() || each.size() > kMaxCallNameBytes ||
        each.find('\0') != std::string::npos) {
      return Invalid(Within(where, "names"),
                     absl::StrCat(Quoted(each), " is no system call's name"));
    }
  }
  return names;
}

absl::StatusOr<Rule> ParseRule(const std::string& where, const Json& object) {
  RETURN_IF_ERROR(CheckKeys(where, object,
                            {"names", "name", "action", "errnoRet", "errno",
                             "args", "includes", "excludes"}));
  Rule rule;
  ASSIGN_OR_RETURN(rule.names, ParseNames(where, object));
  ASSIGN_OR_RETURN(rule.action,
                   ParseAction(where, object, "action", "errnoRet", "errno"));
  ASSIGN_OR_RETURN(const Json* arguments, List(where, object, "args"));
  for (const Json& argument : *arguments) {
    ASSIGN_OR_RETURN(
        const ArgumentCheck check,
        ParseArgument(absl::StrCat(where, ".args[", rule.arguments.size(), "]"),
                      argument));
    rule.arguments.push_back(check);
  }
  ASSIGN_OR_RETURN(rule.includes, ParseCondition(where, object, "includes"));
  ASSIGN_OR_RETURN(rule.excludes, ParseCondition(where, object, "excludes"));
  return rule;
}

absl::Status ParseRules(const Json& document, Profile* profile) {
  ASSIGN_OR_RETURN(const Json* rules, List("", document, "syscalls"));
  if (rules->size() > kMaxRules) {
    return Invalid("syscalls",
                   absl::StrCat("has more than ", kMaxRules, " rules"));
  }
  size_t names = 0;
  for (const Json& object : *rules) {
    const std::string where =
        absl::StrCat("syscalls[", profile->rules.size(), "]");
    ASSIGN_OR_RETURN(Rule rule, ParseRule(where, object));
    names += rule.names.size();
    if (names > kMaxNames) {
      return Invalid(where, absl::StrCat("more than ", kMaxNames, " names"));
    }
    profile->rules.push_back(std::move(rule));
  }
  return absl::OkStatus();
}

// ---- The rest -------------------------------------------------------------

absl::Status AddArchitecture(absl::string_view where, const std::string& name,
                             Profile* profile) {
  const auto known = ArchitectureByName(name);
  if (!known.has_value()) {
    return Invalid(where, absl::StrCat(Quoted(name), " is unknown"));
  }
  if (*known != 0) profile->architectures.push_back(*known);
  return absl::OkStatus();
}

absl::Status ParseArchitectures(const Json& document, Profile* profile) {
  ASSIGN_OR_RETURN(const std::vector<std::string> listed,
                   Strings("", document, "architectures"));
  for (const std::string& name : listed) {
    RETURN_IF_ERROR(AddArchitecture("architectures", name, profile));
  }
  ASSIGN_OR_RETURN(const Json* map, List("", document, "archMap"));
  if (!map->empty() && !listed.empty()) {
    return Invalid("archMap", "stands beside \"architectures\"");
  }
  for (size_t i = 0; i < map->size(); ++i) {
    const Json& entry = (*map)[i];
    const std::string where = absl::StrCat("archMap[", i, "]");
    RETURN_IF_ERROR(
        CheckKeys(where, entry, {"architecture", "subArchitectures"}));
    ASSIGN_OR_RETURN(const std::string name,
                     String(where, entry, "architecture"));
    RETURN_IF_ERROR(
        AddArchitecture(Within(where, "architecture"), name, profile));
    ASSIGN_OR_RETURN(const std::vector<std::string> subs,
                     Strings(where, entry, "subArchitectures"));
    for (const std::string& sub : subs) {
      RETURN_IF_ERROR(
          AddArchitecture(Within(where, "subArchitectures"), sub, profile));
    }
  }
  return absl::OkStatus();
}

absl::Status ParseFlags(const Json& document, Profile* profile) {
  constexpr std::pair<const char*, uint32_t> kFlags[] = {
      // Concerns other threads, of which a new process has none.
      {"SECCOMP_FILTER_FLAG_TSYNC", 0},
      {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
      {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW}};
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   Strings("", document, "flags"));
  for (const std::string& name : names) {
    bool known = false;
    for (const auto& [text, flag] : kFlags) {
      if (name != text) continue;
      profile->filter_flags |= flag;
      known = true;
    }
    if (!known) {
      return Invalid("flags", absl::StrCat(Quoted(name), " is unknown"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Profile> ParseProfile(absl::string_view text) {
  if (text.size() > kMaxProfileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("is larger than ", kMaxProfileBytes, " bytes"));
  }
  ASSIGN_OR_RETURN(const Json document, image::ParseJsonObject(text));
  RETURN_IF_ERROR(CheckKeys(
      "", document,
      {"defaultAction", "defaultErrnoRet", "defaultErrno", "architectures",
       "archMap", "flags", "syscalls", "listenerPath", "listenerMetadata"}));
  for (const char* key : {"listenerPath", "listenerMetadata"}) {
    ASSIGN_OR_RETURN(const std::string value, String("", document, key));
    if (!value.empty()) {
      return Invalid(key, "belongs to SCMP_ACT_NOTIFY, which is not supported");
    }
  }
  Profile profile;
  ASSIGN_OR_RETURN(profile.default_action,
                   ParseAction("", document, "defaultAction", "defaultErrnoRet",
                               "defaultErrno"));
  RETURN_IF_ERROR(ParseArchitectures(document, &profile));
  RETURN_IF_ERROR(ParseFlags(document, &profile));
  RETURN_IF_ERROR(ParseRules(document, &profile));
  return profile;
}

}  // namespace warren::seccomp
