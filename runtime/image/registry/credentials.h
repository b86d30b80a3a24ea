#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_CREDENTIALS_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_CREDENTIALS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <string>

// What a caller of PullImage may prove itself with. None of it is ever part of
// an error, a log line or a record.
namespace warren::registry {

// AuthConfig of CRI, field by field.
struct AuthFields {
  std::string username;
  std::string password;
  std::string auth;            // base64 of "user:password"
  std::string server_address;  // host or URL that the fields are for
  std::string identity_token;  // OAuth 2 refresh token
  std::string registry_token;  // bearer token, used as it is
};

// One of the forms, or none.
struct Credentials {
  enum class Kind { kAnonymous, kPassword, kIdentityToken, kRegistryToken };
  Kind kind = Kind::kAnonymous;
  std::string username;  // of kPassword
  std::string secret;    // password or token

  bool anonymous() const { return kind == Kind::kAnonymous; }
};

// What counts of `fields` for the registry `host` ("docker.io",
// "registry.example:5000"). Precedence:
//   1. server_address names another host: nothing counts;
//   2. a username: with its password;
//   3. identity_token;
//   4. auth; NUL bytes around the password are padding and go;
//   5. registry_token.
// docker.io, index.docker.io and registry-1.docker.io are one host; a scheme
// and a path in server_address are passed over, and so is the port that its
// scheme has anyway. kInvalidArgument: auth is no base64 of a pair, or a field
// that has to go into a header holds a control character.
absl::StatusOr<Credentials> ChooseCredentials(const AuthFields& fields,
                                              absl::string_view host);

// "Basic <base64>" for a username and a secret.
std::string BasicAuthorization(absl::string_view username,
                               absl::string_view secret);

// True for a non-empty text that may be the value of a header: printable
// ASCII, at most `limit` bytes.
bool FitsHeader(absl::string_view text, size_t limit);

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_CREDENTIALS_H_
