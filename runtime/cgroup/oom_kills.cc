#include "runtime/cgroup/oom_kills.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/string_view.h>
#include <absl/strings/strip.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/status.h"

namespace warren::runtime {

absl::StatusOr<bool> SaysOomKill(int directory, const std::string& file) {
  // ENODEV: the cgroup was removed, its directory is still open.
  ASSIGN_OR_RETURN(const std::optional<std::string> text,
                   base::ToLook(base::ReadFileAt(directory, file)));
  if (!text.has_value()) return false;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    uint64_t kills = 0;
    if (absl::ConsumePrefix(&line, "oom_kill ") &&
        absl::SimpleAtoi(line, &kills)) {
      return kills > 0;
    }
  }
  return false;
}

absl::StatusOr<bool> SaysOomKillBelow(const CgroupTree& tree,
                                      const std::string& path,
                                      const base::Deadline& deadline) {
  bool found = false;
  const absl::Status walked = tree.Walk(
      path,
      [&](int directory, absl::string_view name,
          size_t /*depth*/) -> absl::StatusOr<bool> {
        RETURN_IF_ERROR(deadline.Check());
        ASSIGN_OR_RETURN(
            found,
            SaysOomKill(directory, absl::StrCat(name, "/memory.oom_control")));
        // An error is what ends a walk.
        if (found) return absl::CancelledError("found");
        return true;
      });
  if (found) return true;
  RETURN_IF_ERROR(walked);
  return false;
}

}  // namespace warren::runtime
