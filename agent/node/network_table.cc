#include "agent/node/network_table.h"

#include <absl/status/statusor.h>
#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>

#include <utility>
#include <vector>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

constexpr char kTableFile[] = "network_table";
constexpr size_t kMostTableBytes = 4096;

std::string TableFileContent(const std::string& boot_id,
                             const std::string& table) {
  return absl::StrCat(table, " ", boot_id, "\n");
}

}  // namespace

absl::Status CheckNetworkTable(const std::string& state_dir,
                               const std::string& boot_id,
                               const std::string& table) {
  const std::string path = absl::StrCat(state_dir, "/", kTableFile);
  const absl::StatusOr<std::string> text =
      base::ReadRegularFileAt(AT_FDCWD, path, kMostTableBytes);
  if (base::ProvesAbsence(text.status())) return absl::OkStatus();
  RETURN_IF_ERROR_IN(text.status(), path);
  const std::vector<std::string> words =
      absl::StrSplit(absl::StripAsciiWhitespace(*text), ' ');
  if (words.size() != 2 || words[0].empty()) {
    return absl::DataLossError(
        absl::StrCat(path, ": not the name of a table and a boot"));
  }
  const std::string& before = words[0];
  if (words[1] != boot_id || before == table) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "network.table: is \"", table, "\", but the rules of this node are in \"",
      before, "\" and would stop packets of new pods. Set it back to \"",
      before,
      "\"; or set it back, remove all pods, stop warrend, delete the old rules "
      "(nft delete table inet ",
      before, "; nft delete table bridge ", before, "; rm ", path,
      ") and start it with the new name"));
}

absl::Status KeepNetworkTable(const std::string& state_dir,
                              const std::string& boot_id,
                              const std::string& table) {
  ASSIGN_OR_RETURN(const base::UniqueFd directory,
                   base::OpenAt(AT_FDCWD, state_dir, O_RDONLY | O_DIRECTORY));
  // Most starts find it as it should be, and a full disk then does no harm.
  const auto now =
      base::ReadRegularFileAt(directory.get(), kTableFile, kMostTableBytes);
  if (now.ok() && *now == TableFileContent(boot_id, table)) {
    return absl::OkStatus();
  }
  return base::Annotate(
      base::WriteFileAtomic(directory.get(), kTableFile,
                            TableFileContent(boot_id, table), 0600),
      "keep the name of the nftables table");
}

}  // namespace warren::agent
