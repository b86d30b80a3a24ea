#include "runtime/identity/user_lookup.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"

namespace warren::runtime {
namespace {

constexpr size_t kFileLimit = 1 << 20;
// What CRI allows; the kernel's own limit is twice as much.
constexpr uint64_t kMaxId = 2147483647;
constexpr size_t kNameLimit = 256;
constexpr absl::string_view kNoName =
    "neither a number nor a name (letters, digits, \"_\", \"-\" and \".\", "
    "first a letter or \"_\")";

struct PasswdEntry {
  std::string name;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string home;
};

bool IsNumber(absl::string_view text) {
  return !text.empty() &&
         text.find_first_not_of("0123456789") == absl::string_view::npos;
}

// A name as useradd(8) makes them. What begins with a digit and is no number
// ("1,000", "0x0", "1e3") was meant as a number: looked up, it would be whoever
// the image calls so.
bool IsSaneName(absl::string_view text) {
  absl::ConsumeSuffix(&text, "$");  // machines of Samba
  if (text.empty() || (!absl::ascii_isalpha(text[0]) && text[0] != '_')) {
    return false;
  }
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
  });
}

// Digits only: no sign, no blanks, no hexadecimal. nullopt = out of range.
std::optional<uint32_t> ParseId(absl::string_view digits) {
  uint64_t value = 0;
  for (const char c : digits) {
    value = value * 10 + static_cast<uint64_t>(c - '0');
    if (value > kMaxId) return std::nullopt;
  }
  return static_cast<uint32_t>(value);
}

absl::StatusOr<uint32_t> CheckedId(int64_t value, absl::string_view field) {
  if (value < 0 || value > static_cast<int64_t>(kMaxId)) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": must be in 0..2147483647"));
  }
  return static_cast<uint32_t>(value);
}

// A line that is not name:x:uid:gid:gecos:home… is skipped.
std::optional<PasswdEntry> ParsePasswdLine(absl::string_view line) {
  const std::vector<absl::string_view> f = absl::StrSplit(line, ':');
  if (f.size() < 4 || f[0].empty() || !IsNumber(f[2]) || !IsNumber(f[3])) {
    return std::nullopt;
  }
  const auto uid = ParseId(f[2]);
  const auto gid = ParseId(f[3]);
  if (!uid.has_value() || !gid.has_value()) return std::nullopt;
  return PasswdEntry{std::string(f[0]), *uid, *gid,
                     f.size() > 5 ? std::string(f[5]) : std::string()};
}

template <typename Match>
std::optional<PasswdEntry> FindUser(absl::string_view passwd, Match match) {
  for (absl::string_view line : absl::StrSplit(passwd, '\n')) {
    auto entry = ParsePasswdLine(line);
    if (entry.has_value() && match(*entry)) return entry;
  }
  return std::nullopt;
}

struct GroupEntry {
  absl::string_view name;
  uint32_t gid = 0;
  absl::string_view members;
};

std::optional<GroupEntry> ParseGroupLine(absl::string_view line) {
  const std::vector<absl::string_view> f = absl::StrSplit(line, ':');
  if (f.size() < 3 || f[0].empty() || !IsNumber(f[2])) return std::nullopt;
  const auto gid = ParseId(f[2]);
  if (!gid.has_value()) return std::nullopt;
  return GroupEntry{f[0], *gid, f.size() > 3 ? f[3] : absl::string_view()};
}

absl::Status Bad(absl::string_view field, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", why));
}

// Takes the user part of the text into `user`, and the passwd entry if any.
absl::Status ResolveName(absl::string_view text, absl::string_view field,
                         absl::string_view passwd, User* user,
                         std::optional<PasswdEntry>* entry) {
  if (text.size() > kNameLimit) return Bad(field, "longer than 256 bytes");
  if (text.empty() || IsNumber(text)) {
    const auto uid = ParseId(text);
    if (!uid.has_value()) return Bad(field, "uid must be in 0..2147483647");
    user->uid = *uid;
    *entry =
        FindUser(passwd, [&](const PasswdEntry& e) { return e.uid == *uid; });
    return absl::OkStatus();
  }
  if (!IsSaneName(text)) return Bad(field, kNoName);
  *entry =
      FindUser(passwd, [&](const PasswdEntry& e) { return e.name == text; });
  if (!entry->has_value()) {
    return Bad(field, absl::StrCat("user \"", text,
                                   "\" is not in the image's /etc/passwd"));
  }
  user->uid = (*entry)->uid;
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> ResolveGroup(absl::string_view text,
                                      absl::string_view field,
                                      absl::string_view group) {
  if (text.size() > kNameLimit) return Bad(field, "longer than 256 bytes");
  if (IsNumber(text)) {
    const auto gid = ParseId(text);
    if (!gid.has_value()) return Bad(field, "gid must be in 0..2147483647");
    return *gid;
  }
  if (!IsSaneName(text)) return Bad(field, kNoName);
  for (absl::string_view line : absl::StrSplit(group, '\n')) {
    const auto entry = ParseGroupLine(line);
    if (entry.has_value() && entry->name == text) return entry->gid;
  }
  return Bad(field, absl::StrCat("group \"", text,
                                 "\" is not in the image's /etc/group"));
}

void AddGroup(uint32_t gid, std::vector<uint32_t>* groups) {
  if (std::find(groups->begin(), groups->end(), gid) == groups->end()) {
    groups->push_back(gid);
  }
}

void AddMemberships(absl::string_view name, absl::string_view group,
                    std::vector<uint32_t>* groups) {
  for (absl::string_view line : absl::StrSplit(group, '\n')) {
    const auto entry = ParseGroupLine(line);
    if (!entry.has_value()) continue;
    for (absl::string_view member : absl::StrSplit(entry->members, ',')) {
      if (member == name) AddGroup(entry->gid, groups);
    }
  }
}

// The text that decides, and the field that an error names.
struct Choice {
  std::string user;
  std::string group;  // "" = not given
  bool has_group = false;
  absl::string_view field;
};

absl::StatusOr<Choice> Choose(const UserRequest& request) {
  Choice choice;
  if (!request.username.empty()) {
    choice.field = "run_as_username";
    choice.user = request.username;
    if (absl::StrContains(choice.user, ":")) {
      return Bad(choice.field, "\":\" is not allowed");
    }
  } else if (request.uid.has_value()) {
    choice.field = "run_as_user";
    ASSIGN_OR_RETURN(const uint32_t uid, CheckedId(*request.uid, choice.field));
    choice.user = absl::StrCat(uid);
  } else if (request.gid.has_value()) {
    return Bad("run_as_group", "needs run_as_user or run_as_username");
  } else {
    choice.field = "user of the image";
    const std::vector<std::string> parts =
        absl::StrSplit(request.image_user, ':');
    if (parts.size() > 2) return Bad(choice.field, "more than one \":\"");
    choice.user = parts[0];
    if (parts.size() == 2) choice.group = parts[1];
    choice.has_group = !choice.group.empty();
  }
  return choice;
}

// Links are followed inside the root: there are images (NixOS') in which all of
// /etc is links into a store.
absl::StatusOr<std::string> ReadDatabase(int rootfs_fd,
                                         const std::string& path) {
  auto fd = base::OpenInRoot(rootfs_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd.ok()) {
    const int error = base::GetErrno(fd.status());
    // A link to nowhere as well: the image's program makes it later.
    if (error == ENOENT || error == ENOTDIR) return std::string();
    if (!base::IsDamage(fd.status())) return fd.status();
    return Bad(absl::StrCat("image's /", path),
               "not a regular file of the image");
  }
  auto text = base::ReadRegularFd(fd->get(), kFileLimit);
  if (base::IsDamage(text.status())) {
    return Bad(absl::StrCat("image's /", path), text.status().message());
  }
  return text;
}

}  // namespace

absl::StatusOr<User> ResolveUser(const UserRequest& request,
                                 absl::string_view passwd,
                                 absl::string_view group) {
  ASSIGN_OR_RETURN(const Choice choice, Choose(request));
  User user;
  std::optional<PasswdEntry> entry;
  RETURN_IF_ERROR(
      ResolveName(choice.user, choice.field, passwd, &user, &entry));
  user.gid = entry.has_value() ? entry->gid : 0;
  user.home = entry.has_value() && !entry->home.empty() ? entry->home : "/";
  if (request.gid.has_value()) {
    ASSIGN_OR_RETURN(user.gid, CheckedId(*request.gid, "run_as_group"));
  } else if (choice.has_group) {
    ASSIGN_OR_RETURN(user.gid, ResolveGroup(choice.group, choice.field, group));
  }
  AddGroup(user.gid, &user.groups);
  if (!request.strict_groups && entry.has_value()) {
    AddMemberships(entry->name, group, &user.groups);
  }
  for (const int64_t gid : request.supplemental_groups) {
    ASSIGN_OR_RETURN(const uint32_t checked,
                     CheckedId(gid, "supplemental_groups"));
    AddGroup(checked, &user.groups);
  }
  return user;
}

absl::StatusOr<User> LookUpUser(const UserRequest& request, int rootfs_fd) {
  ASSIGN_OR_RETURN(const std::string passwd,
                   ReadDatabase(rootfs_fd, "etc/passwd"));
  ASSIGN_OR_RETURN(const std::string group,
                   ReadDatabase(rootfs_fd, "etc/group"));
  return ResolveUser(request, passwd, group);
}

}  // namespace warren::runtime
