#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_TOKEN_CLIENT_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_TOKEN_CLIENT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/time/time.h>

#include <string>

#include "runtime/base/deadline.h"
#include "runtime/image/registry/challenge.h"
#include "runtime/image/registry/credentials.h"
#include "runtime/image/registry/transport.h"

// Bearer tokens of the distribution specification's token servers.
namespace warren::registry {

// Bounds on what a token server may send (IMG-3).
inline constexpr size_t kMaxTokenBytes = 64 << 10;
inline constexpr size_t kMaxTokenAnswerBytes = 256 << 10;

// Who asked for a token: one host, as the node is configured to reach it.
struct TokenAsker {
  Url url;          // scheme as really spoken; the target does not count
  TlsSettings tls;  // of that host
  // The registry that credentials were given for, not a mirror and not the
  // target of a redirect.
  bool is_registry = false;
  // Plain http was configured for it, or it is on loopback.
  bool plain_configured = false;
};

// What is sent where.
struct TokenRequest {
  Url realm;
  std::string service;
  std::string scope;
  Credentials credentials;
  TlsSettings tls;
};

// The request that the challenge `bearer` of `asker` leads to. `scope` stands
// in where the challenge names none. The rules of IMG-5:
//   - `credentials` go along only when the asker is the registry itself;
//   - a realm of plain http is refused where the asker speaks https, and where
//     it speaks http without being configured so; on loopback both must be.
// kDataLoss: the realm is no address, or refused.
absl::StatusOr<TokenRequest> PlanToken(const TokenAsker& asker,
                                       const Challenge& bearer,
                                       const std::string& scope,
                                       const Credentials& credentials);

struct Token {
  std::string value;
  // From when the request was sent. At least 60 s: that is what the
  // specification says of a missing time, and odd ones are taken as missing.
  absl::Duration lifetime;
};

// Reads "token", else "access_token", and "expires_in". kDataLoss: no object,
// or neither of them.
absl::StatusOr<Token> ParseToken(absl::string_view body);

// Fetches a token. With credentials first by POST (OAuth 2: password or
// refresh_token); a server that does not want that (400, 401, 404, 405 and
// other refusals) is asked by GET with Basic. A redirect to another origin
// takes no credentials along: with credentials it is an error. Errors name the
// token server and never an address or a header: kUnauthenticated,
// kPermissionDenied, kUnavailable, kDataLoss, and those of the deadline. Tries
// once.
absl::StatusOr<Token> FetchToken(const TokenRequest& request,
                                 const HttpLimits& limits, Transport* transport,
                                 const base::Deadline& deadline);

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_TOKEN_CLIENT_H_
