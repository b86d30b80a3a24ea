#ifndef WARREN_AGENT_CTL_TABLE_H_
#define WARREN_AGENT_CTL_TABLE_H_

#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <cstdint>
#include <string>
#include <vector>

// Plain text for people. Pure functions.
namespace warren::agent::ctl {

// Rows as aligned columns, two blanks between them, no blanks at line ends.
// The first row is the header. Cells are made Printable.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

// `text` with everything that is not printable ASCII as '?': names and
// command lines come from containers and must not drive the terminal.
std::string Printable(absl::string_view text);

// The first 12 hex digits of an id, "sha256:" left out.
std::string ShortId(absl::string_view id);

// "5s", "3m", "7h", "2d": how long ago `then_ns` (since the epoch) was.
std::string FormatAge(int64_t then_ns, absl::Time now);

// "512 B", "4.2 MiB".
std::string FormatBytes(uint64_t bytes);

}  // namespace warren::agent::ctl

#endif  // WARREN_AGENT_CTL_TABLE_H_
