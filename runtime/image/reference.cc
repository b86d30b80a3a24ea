#include "runtime/image/reference.h"

#include <absl/status/status.h>
#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "runtime/base/status.h"

namespace warren::image {
namespace {

constexpr size_t kMaxName = 255;
constexpr size_t kMaxTag = 128;
constexpr size_t kMaxText = kMaxName + kMaxTag + 80;  // and a digest
constexpr absl::string_view kDefaultDomain = "docker.io";

absl::Status BadReference(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("image reference: ", why));
}

bool IsLowerOrDigit(char c) {
  return absl::ascii_islower(static_cast<unsigned char>(c)) ||
         absl::ascii_isdigit(static_cast<unsigned char>(c));
}

bool IsAlnum(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c));
}

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool IsPathPart(absl::string_view part) {
  if (part.empty() || !IsLowerOrDigit(part.front()) ||
      !IsLowerOrDigit(part.back())) {
    return false;
  }
  for (size_t i = 0; i < part.size();) {
    if (IsLowerOrDigit(part[i])) {
      ++i;
      continue;
    }
    const size_t start = i;
    while (i < part.size() && !IsLowerOrDigit(part[i])) ++i;
    const absl::string_view separator = part.substr(start, i - start);
    const bool dashes =
        separator.find_first_not_of('-') == absl::string_view::npos;
    if (separator != "." && separator != "_" && separator != "__" && !dashes) {
      return false;
    }
  }
  return true;
}

// [a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?
bool IsHostLabel(absl::string_view label) {
  if (label.empty() || !IsAlnum(label.front()) || !IsAlnum(label.back())) {
    return false;
  }
  return std::all_of(label.begin(), label.end(),
                     [](char c) { return IsAlnum(c) || c == '-'; });
}

bool IsPort(absl::string_view port) {
  return !port.empty() && port.size() <= 5 &&
         std::all_of(port.begin(), port.end(), [](char c) {
           return absl::ascii_isdigit(static_cast<unsigned char>(c));
         });
}

// host[:port] or [v6 address][:port]
bool IsDomain(absl::string_view domain) {
  if (absl::ConsumePrefix(&domain, "[")) {
    const size_t end = domain.find(']');
    if (end == absl::string_view::npos || end == 0) return false;
    const absl::string_view address = domain.substr(0, end);
    absl::string_view rest = domain.substr(end + 1);
    return std::all_of(address.begin(), address.end(),
                       [](char c) {
                         return c == ':' || absl::ascii_isxdigit(
                                                static_cast<unsigned char>(c));
                       }) &&
           (rest.empty() || (absl::ConsumePrefix(&rest, ":") && IsPort(rest)));
  }
  const std::vector<absl::string_view> host_port = absl::StrSplit(domain, ':');
  if (host_port.size() > 2 ||
      (host_port.size() == 2 && !IsPort(host_port[1]))) {
    return false;
  }
  const std::vector<absl::string_view> labels =
      absl::StrSplit(host_port[0], '.');
  return std::all_of(labels.begin(), labels.end(), IsHostLabel);
}

// [\w][\w.-]{0,127}
bool IsTag(absl::string_view tag) {
  if (tag.empty() || tag.size() > kMaxTag) return false;
  if (tag.front() == '.' || tag.front() == '-') return false;
  return std::all_of(tag.begin(), tag.end(), [](char c) {
    return IsAlnum(c) || c == '_' || c == '.' || c == '-';
  });
}

// Splits "domain/path" and puts the defaults in.
absl::StatusOr<std::string> NormalName(absl::string_view text) {
  if (text.size() == 64 && IsLowerHex(text)) {
    return BadReference("64 hexadecimal digits are an image id, not a name");
  }
  absl::string_view domain = kDefaultDomain;
  absl::string_view path = text;
  const size_t slash = text.find('/');
  if (slash != absl::string_view::npos) {
    const absl::string_view first = text.substr(0, slash);
    if (first == "localhost" ||
        first.find_first_of(".:") != absl::string_view::npos) {
      domain = first;
      path = text.substr(slash + 1);
    }
  }
  if (domain == "index.docker.io") domain = kDefaultDomain;
  if (!IsDomain(domain)) return BadReference("bad registry host");
  const std::vector<absl::string_view> parts = absl::StrSplit(path, '/');
  if (!std::all_of(parts.begin(), parts.end(), IsPathPart)) {
    return BadReference(
        "a name is lower-case letters and digits with single '.', '_', '__' "
        "or dashes between them, parts divided by '/'");
  }
  const bool official = domain == kDefaultDomain && parts.size() == 1;
  std::string name = absl::StrCat(domain, official ? "/library/" : "/", path);
  if (name.size() > kMaxName)
    return BadReference("name of more than 255 bytes");
  return name;
}

}  // namespace

std::string Reference::ToString() const {
  return digest.has_value() ? absl::StrCat(name, "@", digest->ToString())
                            : absl::StrCat(name, ":", tag);
}

absl::StatusOr<Reference> ParseReference(absl::string_view text) {
  if (text.empty()) return BadReference("empty");
  if (text.size() > kMaxText) return BadReference("too long");
  Reference reference;
  absl::string_view rest = text;
  if (const size_t at = rest.find('@'); at != absl::string_view::npos) {
    ASSIGN_OR_RETURN_IN(reference.digest, Digest::Parse(rest.substr(at + 1)),
                        "image reference");
    rest = rest.substr(0, at);
  }
  // A colon after the last slash starts the tag; one before it, a port.
  const size_t colon = rest.rfind(':');
  const size_t slash = rest.rfind('/');
  if (colon != absl::string_view::npos &&
      (slash == absl::string_view::npos || colon > slash)) {
    const absl::string_view tag = rest.substr(colon + 1);
    if (!IsTag(tag)) return BadReference("bad tag");
    reference.tag = std::string(tag);
    rest = rest.substr(0, colon);
  }
  ASSIGN_OR_RETURN(reference.name, NormalName(rest));
  if (reference.digest.has_value()) {
    reference.tag.clear();
  } else if (reference.tag.empty()) {
    reference.tag = "latest";
  }
  return reference;
}

}  // namespace warren::image
