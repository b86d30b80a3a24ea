#ifndef WARREN_RUNTIME_IMAGE_REFERENCE_H_
#define WARREN_RUNTIME_IMAGE_REFERENCE_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <optional>
#include <string>

#include "runtime/image/digest.h"

// Names of images. Grammar: the "reference" of the OCI distribution world,
//   [domain[:port]/]path[/path…][:tag][@sha256:…]
// and the short forms that people write.
namespace warren::image {

// A normalised name. Exactly one of tag and digest is set: a digest decides
// and drops the tag, neither means ":latest".
struct Reference {
  std::string name;  // "docker.io/library/busybox"
  std::string tag;   // "latest", or empty
  std::optional<Digest> digest;

  // "name:tag" or "name@sha256:…".
  std::string ToString() const;
  bool operator==(const Reference&) const = default;
};

// Parses and normalises: a first part without '.' or ':' that is not
// "localhost" is no domain, then "docker.io/" is put in front; a docker.io
// name of one part gets "library/"; "index.docker.io" is docker.io.
// kInvalidArgument for anything else that does not fit the grammar, and for a
// bare name of 64 hex digits, which is an image id. At most 255 bytes of name,
// 128 of tag. The error text never repeats the input.
absl::StatusOr<Reference> ParseReference(absl::string_view text);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_REFERENCE_H_
