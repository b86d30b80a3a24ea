#ifndef WARREN_AGENT_CDI_DOCUMENT_H_
#define WARREN_AGENT_CDI_DOCUMENT_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include "runtime/image/json.h"

namespace warren::agent {

enum class CdiFormat : uint8_t { kJson, kYaml };

// A specification file as one JSON object, whichever of the two it was written
// in. kInvalidArgument: malformed, a key twice in one object, nested deeper
// than 32 levels, more than 65536 values (a YAML alias counts each time), more
// than one document, or no object. Numbers of YAML without quotes may be
// octal (0666 or 0o666) or hexadecimal. Pure.
absl::StatusOr<image::Json> ParseCdiDocument(absl::string_view text,
                                             CdiFormat format);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CDI_DOCUMENT_H_
