#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_REDIRECTS_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_REDIRECTS_H_

#include <absl/status/statusor.h>

#include <optional>

#include "runtime/image/registry/transport.h"
#include "runtime/image/registry/url.h"

// Where an answer sends us, and what may come along.
namespace warren::registry {

inline constexpr int kMaxRedirects = 10;  // of one request

// The address that `head` (the answer to a request for `from`) redirects to;
// nullopt when it is no redirect. kDataLoss: no Location or one that is no
// address, or from https to http. The query stays byte for byte.
absl::StatusOr<std::optional<Url>> RedirectOf(const Url& from,
                                              const HttpHead& head);

// The TLS settings of the configured host `owner` for a request to `target`:
// all of them where the host name is the same; elsewhere its roots alone, so
// that neither its client certificate nor its skip_verify goes further.
TlsSettings TlsFor(const TlsSettings& settings, const Url& owner,
                   const Url& target);

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_REDIRECTS_H_
