#include "runtime/image/registry/credentials.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

namespace warren::registry {
namespace {

constexpr size_t kMaxSecretBytes = 64 << 10;

// Host and port in one spelling.
std::string NormalHost(absl::string_view address) {
  std::string host = absl::AsciiStrToLower(address);
  absl::string_view usual_port = ":443";
  const size_t scheme = host.find("://");
  if (scheme != std::string::npos) {
    if (host.compare(0, scheme, "http") == 0) usual_port = ":80";
    host.erase(0, scheme + 3);
  }
  host.erase(std::min(host.find('/'), host.size()));
  if (absl::EndsWith(host, usual_port)) {
    host.erase(host.size() - usual_port.size());
  }
  if (host == "index.docker.io" || host == "registry-1.docker.io") {
    return "docker.io";
  }
  return host;
}

// A control character would end a header or a line of a form.
bool IsClean(absl::string_view text) {
  return text.size() <= kMaxSecretBytes &&
         std::none_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_iscntrl(static_cast<unsigned char>(c));
         });
}

absl::Status Bad(absl::string_view field, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("auth: ", field, ": ", why));
}

absl::StatusOr<Credentials> FromPassword(absl::string_view username,
                                         absl::string_view password,
                                         absl::string_view field) {
  // A colon ends the name in a Basic header (RFC 7617).
  if (username.find(':') != absl::string_view::npos || !IsClean(username) ||
      !IsClean(password)) {
    return Bad(field, "holds a character that no header may have");
  }
  Credentials result;
  result.kind = Credentials::Kind::kPassword;
  result.username = std::string(username);
  result.secret = std::string(password);
  return result;
}

absl::StatusOr<Credentials> FromToken(Credentials::Kind kind,
                                      const std::string& token,
                                      absl::string_view field) {
  if (!FitsHeader(token, kMaxSecretBytes)) {
    return Bad(field, "holds a character that no header may have");
  }
  Credentials result;
  result.kind = kind;
  result.secret = token;
  return result;
}

absl::StatusOr<Credentials> FromAuth(const std::string& auth) {
  std::string pair;
  if (!absl::Base64Unescape(absl::StripAsciiWhitespace(auth), &pair)) {
    return Bad("auth", "no base64");
  }
  const size_t colon = pair.find(':');
  if (colon == std::string::npos) return Bad("auth", "no user and password");
  absl::string_view password = absl::string_view(pair).substr(colon + 1);
  while (!password.empty() && password.front() == '\0') {
    password.remove_prefix(1);
  }
  while (!password.empty() && password.back() == '\0') {
    password.remove_suffix(1);
  }
  return FromPassword(absl::string_view(pair).substr(0, colon), password,
                      "auth");
}

}  // namespace

absl::StatusOr<Credentials> ChooseCredentials(const AuthFields& fields,
                                              absl::string_view host) {
  using Kind = Credentials::Kind;
  if (!fields.server_address.empty() &&
      NormalHost(fields.server_address) != NormalHost(host)) {
    return Credentials();
  }
  if (!fields.username.empty()) {
    return FromPassword(fields.username, fields.password,
                        "username and password");
  }
  if (!fields.identity_token.empty()) {
    return FromToken(Kind::kIdentityToken, fields.identity_token,
                     "identity_token");
  }
  if (!fields.auth.empty()) return FromAuth(fields.auth);
  if (!fields.registry_token.empty()) {
    return FromToken(Kind::kRegistryToken, fields.registry_token,
                     "registry_token");
  }
  return Credentials();
}

std::string BasicAuthorization(absl::string_view username,
                               absl::string_view secret) {
  return absl::StrCat("Basic ",
                      absl::Base64Escape(absl::StrCat(username, ":", secret)));
}

bool FitsHeader(absl::string_view text, size_t limit) {
  return !text.empty() && text.size() <= limit &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= ' ' && c < 0x7f; });
}

}  // namespace warren::registry
