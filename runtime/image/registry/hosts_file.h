#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_HOSTS_FILE_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_HOSTS_FILE_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <string>
#include <vector>

#include "runtime/image/registry/transport.h"
#include "runtime/image/registry/url.h"

// Which hosts serve a registry, as operators write it down for containerd
// (its page about hosts): one directory per registry,
//
//   <hosts_dir>/docker.io/hosts.toml
//   <hosts_dir>/registry.example_5000_/hosts.toml   or registry.example:5000
//   <hosts_dir>/_default/hosts.toml                 for all that have none
//
//   server = "https://registry-1.docker.io"    the registry itself; default:
//                                              where its name leads
//   [host."https://mirror.example/base"]       tried before it, in this order
//     capabilities = ["pull", "resolve"]       default: both ("push" is known)
//     override_path = true                     its path is the whole prefix;
//                                              default: "/v2" comes behind it
//     ca = "ca.pem"                            or a list; beside the system's
//     client = "both.pem"                      or [["cert", "key"]]; the first
//                                              pair counts
//     skip_verify = true
//     [host."https://mirror.example/base".header]
//       x-name = "value"                       or a list; sent to it alone
//
// A server in _default is no registry itself (credentials stay away from it)
// unless it has the registry's own address.
//
// The keys of a host may stand at the top of the file for the server. Paths
// are relative to the directory. A directory without hosts.toml has
// certificates as Docker names them: *.crt roots, NAME.cert and NAME.key.
namespace warren::registry {

// One host that may serve a repository.
struct Endpoint {
  Url url;              // target: the prefix in front of "/<repository>"
  bool resolve = true;  // may be asked for a tag
  bool pull = true;     // may be asked for a digest
  // The registry itself: what credentials of a caller are for.
  bool is_registry = false;
  // Nothing says how it speaks and it is on loopback: https first, then http.
  bool may_be_plain = false;
  TlsSettings tls;
  Headers headers;
};

// The hosts of `registry` ("docker.io", "registry.example:5000"), in the order
// to try; the registry itself is the last. Reads below `hosts_dir`, which may
// be missing or empty: then it is the registry alone. kInvalidArgument: a file
// cannot be understood, or `registry` is no host; the message names file and
// line, never the value of a header. Unknown keys are passed over, as
// containerd does. Errors of reading are handed on.
absl::StatusOr<std::vector<Endpoint>> ReadEndpoints(
    const std::string& hosts_dir, absl::string_view registry);

// The same of the text of a hosts.toml in `directory`.
absl::StatusOr<std::vector<Endpoint>> ParseHosts(const std::string& text,
                                                 const std::string& directory,
                                                 absl::string_view registry);

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_HOSTS_FILE_H_
