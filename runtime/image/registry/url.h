#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_URL_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_URL_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <string>

// Addresses of http and https, kept byte for byte: a signed query is only
// good as it was given.
namespace warren::registry {

struct Url {
  bool https = true;
  std::string host;  // lower case, no port; IPv6 without its brackets
  uint16_t port = 443;
  std::string target = "/";  // path and query, as given; no fragment

  // "https://host:port/path?query"; the port only where the scheme has
  // another one.
  std::string ToString() const;
  // "host" or "host:port", what errors say. An IPv6 address in brackets.
  std::string HostAndPort() const;
  // "https://host:port".
  std::string Origin() const;
  // Same scheme, host and port: what may see an Authorization.
  bool SameOrigin(const Url& other) const {
    return https == other.https && host == other.host && port == other.port;
  }
  bool operator==(const Url&) const = default;
};

// An absolute address. kInvalidArgument: another scheme, no host, a user or a
// password in it (nobody gets credentials that way), a port that is none, a
// control character, blank or byte above ASCII, more than 16 KiB. The text of
// the error does not repeat the address.
absl::StatusOr<Url> ParseUrl(absl::string_view text);

// `reference` of a Location header, seen from `base`: absolute, "//host/x",
// "/x", "x" or "?x" (RFC 3986). Dots in a path are removed only where a
// relative path is joined to the one of `base`.
absl::StatusOr<Url> ResolveUrl(const Url& base, absl::string_view reference);

// localhost, 127.0.0.0/8, ::1.
bool IsLoopback(absl::string_view host);

// `text` with everything but unreserved characters as %XX.
std::string PercentEncode(absl::string_view text);

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_URL_H_
