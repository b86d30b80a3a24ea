#include "agent/host/security_modules.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>

#include <algorithm>
#include <vector>

#include "agent/cri/validate.h"
#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

// A host with thousands of profiles (snaps) has some hundred kilobytes.
constexpr size_t kProfilesLimit = 8 << 20;
constexpr size_t kMaxProfile = 1024;
constexpr size_t kMaxLabelPart = 256;

// ---- AppArmor ----

// Of the lines "name (mode)"; names may hold blanks.
std::set<std::string, std::less<>> ProfileNames(absl::string_view text) {
  std::set<std::string, std::less<>> names;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const size_t mode = line.rfind(" (");
    if (mode == absl::string_view::npos || mode == 0) continue;
    names.emplace(line.substr(0, mode));
  }
  return names;
}

struct Choice {
  cri::SecurityProfile::ProfileType type = cri::SecurityProfile::Unconfined;
  std::string name;     // Localhost
  bool asked = true;    // false: nothing was said
  std::string message;  // field that an error names
};

absl::StatusOr<Choice> FromMessage(absl::string_view field,
                                   const cri::SecurityProfile& profile) {
  Choice choice;
  choice.message = std::string(field);
  choice.type = profile.profile_type();
  choice.name = profile.localhost_ref();
  if (!cri::SecurityProfile::ProfileType_IsValid(choice.type)) {
    return Invalid(absl::StrCat(field, ".profile_type"), "is unknown");
  }
  const bool local = choice.type == cri::SecurityProfile::Localhost;
  const std::string reference = absl::StrCat(field, ".localhost_ref");
  if (local == choice.name.empty()) {
    return Invalid(reference,
                   local ? "is required with profile type Localhost"
                         : "is only allowed with profile type Localhost");
  }
  RETURN_IF_ERROR(CheckText(reference, choice.name, kMaxProfile));
  return choice;
}

absl::StatusOr<Choice> FromText(absl::string_view field,
                                absl::string_view text) {
  Choice choice;
  choice.message = absl::StrCat(field, "_profile");
  RETURN_IF_ERROR(CheckText(choice.message, text, kMaxProfile));
  if (text.empty()) {
    choice.asked = false;
    choice.type = cri::SecurityProfile::RuntimeDefault;
  } else if (text == "runtime/default") {
    choice.type = cri::SecurityProfile::RuntimeDefault;
  } else if (absl::ConsumePrefix(&text, "localhost/") && !text.empty()) {
    choice.type = cri::SecurityProfile::Localhost;
    choice.name = std::string(text);
  } else if (text != "unconfined") {
    return Invalid(choice.message, absl::StrCat(Shown(text), " is unknown"));
  }
  return choice;
}

absl::Status Lacking(absl::string_view field, absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(field, ": ", what));
}

// ---- SELinux ----

// "s0", "s0-s0:c1.c3,c5"
bool IsLevel(absl::string_view level) {
  const auto numbered = [](absl::string_view text, char prefix) {
    return text.size() > 1 && text.size() <= 6 && text[0] == prefix &&
           text.find_first_not_of("0123456789", 1) == absl::string_view::npos;
  };
  const std::vector<absl::string_view> halves = absl::StrSplit(level, ':');
  const std::vector<absl::string_view> range = absl::StrSplit(halves[0], '-');
  if (halves.size() > 2 || range.size() > 2) return false;
  for (absl::string_view sensitivity : range) {
    if (!numbered(sensitivity, 's')) return false;
  }
  if (halves.size() == 1) return true;
  for (absl::string_view categories : absl::StrSplit(halves[1], ',')) {
    const std::vector<absl::string_view> ends = absl::StrSplit(categories, '.');
    if (ends.size() > 2) return false;
    for (absl::string_view end : ends) {
      if (!numbered(end, 'c')) return false;
    }
  }
  return true;
}

// A part of a label: no colon, which would make two of it.
absl::Status CheckPart(absl::string_view field, absl::string_view text) {
  if (text.size() <= kMaxLabelPart &&
      std::all_of(text.begin(), text.end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
      })) {
    return absl::OkStatus();
  }
  return Invalid(field, absl::StrCat(Shown(text), " is malformed"));
}

std::string Or(const std::string& text, const char* fallback) {
  return text.empty() ? fallback : text;
}

}  // namespace

SecurityModules ReadSecurityModules(const std::string& sys) {
  SecurityModules modules;
  const auto enabled = base::ReadFileAt(
      AT_FDCWD, sys + "/module/apparmor/parameters/enabled", 16);
  modules.apparmor = enabled.ok() && absl::StartsWith(*enabled, "Y");
  if (modules.apparmor) {
    modules.apparmor_profiles = ProfileNames(
        base::ReadFileAt(AT_FDCWD, sys + "/kernel/security/apparmor/profiles",
                         kProfilesLimit)
            .value_or(""));
  }
  // The file system is there only where the module is on.
  modules.selinux =
      base::ReadFileAt(AT_FDCWD, sys + "/fs/selinux/enforce", 16).ok();
  return modules;
}

absl::StatusOr<std::string> AppArmorProfile(absl::string_view field,
                                            const AppArmorRequest& request,
                                            const SecurityModules& modules,
                                            absl::string_view default_profile) {
  auto choice = request.present ? FromMessage(field, request.profile)
                                : FromText(field, request.deprecated);
  RETURN_IF_ERROR(choice.status());
  const bool local = choice->type == cri::SecurityProfile::Localhost;
  if (modules.decided_before || (request.privileged && !local) ||
      choice->type == cri::SecurityProfile::Unconfined) {
    return std::string();
  }
  if (!modules.apparmor) {
    if (!choice->asked) return std::string();
    return Lacking(choice->message, "this node has no AppArmor");
  }
  if (!local) choice->name = std::string(default_profile);
  if (choice->name.empty()) {
    if (!choice->asked) return std::string();
    return Lacking(choice->message,
                   "no default profile is configured on this node "
                   "(security.apparmor_default_profile)");
  }
  if (!modules.apparmor_profiles.contains(choice->name)) {
    return Lacking(choice->message,
                   absl::StrCat("the AppArmor profile ", Shown(choice->name),
                                " is not loaded on this node"));
  }
  return std::move(choice->name);
}

absl::StatusOr<std::string> SelinuxLabel(absl::string_view field,
                                         const cri::SELinuxOption& options,
                                         const SecurityModules& modules) {
  for (const auto& [name, text] :
       {std::pair<const char*, const std::string&>{".user", options.user()},
        {".role", options.role()},
        {".type", options.type()}}) {
    RETURN_IF_ERROR(CheckPart(absl::StrCat(field, name), text));
  }
  if (!options.level().empty() && !IsLevel(options.level())) {
    return Invalid(absl::StrCat(field, ".level"),
                   absl::StrCat(Shown(options.level()), " is malformed"));
  }
  const bool empty = options.user().empty() && options.role().empty() &&
                     options.type().empty() && options.level().empty();
  if (empty || modules.decided_before) return std::string();
  if (!modules.selinux) return Lacking(field, "this node has no SELinux");
  return absl::StrCat(
      Or(options.user(), "system_u"), ":", Or(options.role(), "system_r"), ":",
      Or(options.type(), "container_t"), ":", Or(options.level(), "s0"));
}

}  // namespace warren::agent
