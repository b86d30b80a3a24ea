#ifndef WARREN_AGENT_CRI_TEXT_H_
#define WARREN_AGENT_CRI_TEXT_H_

#include <absl/strings/string_view.h>

#include <cstddef>
#include <string>

namespace google::protobuf {
class Message;
}  // namespace google::protobuf

// Text that leaves the daemon. A protobuf `string` that is not valid UTF-8
// makes the whole reply unreadable for its client, and the kernel, images and
// errors hand us such bytes: process names, mount points, image labels.
// All functions are pure and thread-safe.
namespace warren::agent {

// Is it UTF-8 by RFC 3629 (no surrogates, nothing overlong, at most U+10FFFF)?
bool IsUtf8(absl::string_view text);

// `text` with U+FFFD in place of every byte that belongs to no valid
// sequence.
std::string CleanUtf8(absl::string_view text);

// Valid UTF-8 without control characters (each becomes a blank), cut to
// `limit` bytes at a character; "…" says that something is missing. For
// status messages and log lines.
std::string OneLine(absl::string_view text, size_t limit);

// A value of a key=value log line: as it is when it is plain, else in quotes
// with \" and \\ escaped; OneLine(limit) in any case. Empty = "".
std::string LogValue(absl::string_view text, size_t limit = 256);

// Cleans every string of a message, nested ones and map entries included;
// `bytes` fields are left alone.
void CleanStrings(google::protobuf::Message* message);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CRI_TEXT_H_
