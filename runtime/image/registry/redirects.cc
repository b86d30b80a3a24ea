#include "runtime/image/registry/redirects.h"

#include <absl/strings/str_cat.h>

#include <string>

namespace warren::registry {

absl::StatusOr<std::optional<Url>> RedirectOf(const Url& from,
                                              const HttpHead& head) {
  switch (head.status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
      break;
    default:
      return std::nullopt;
  }
  const std::string* const location = head.Find("Location");
  if (location == nullptr) {
    return absl::DataLossError("redirects without a Location");
  }
  const auto target = ResolveUrl(from, *location);
  if (!target.ok()) {
    return absl::DataLossError(
        absl::StrCat("redirects to what is no ", target.status().message()));
  }
  if (from.https && !target->https) {
    return absl::DataLossError(absl::StrCat(
        "redirects from https to plain http at ", target->HostAndPort()));
  }
  return *target;
}

TlsSettings TlsFor(const TlsSettings& settings, const Url& owner,
                   const Url& target) {
  if (owner.host == target.host) return settings;
  TlsSettings roots;
  roots.ca_pem = settings.ca_pem;
  return roots;
}

}  // namespace warren::registry
