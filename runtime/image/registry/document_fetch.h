#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_DOCUMENT_FETCH_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_DOCUMENT_FETCH_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/base/deadline.h"
#include "runtime/image/digest.h"
#include "runtime/image/registry/host_session.h"
#include "runtime/image/registry/registry_client.h"
#include "runtime/image/registry/retry.h"

// Manifests and indexes from one host.
namespace warren::registry {

// Which document, and what is known of it beforehand.
struct DocumentRequest {
  std::string reference;  // a tag, or a digest as text
  std::optional<image::Digest> digest;
  std::optional<uint64_t> size;
};

// GET /manifests/<reference>, at most 4 MiB, with `retries`. kDataLoss: the
// bytes are not those of `digest` or `size`, a Docker-Content-Digest of
// SHA-256 says something else, or it is no document (DocumentType). A digest of
// another algorithm in that header is passed over.
absl::StatusOr<Document> FetchDocument(HostSession* host,
                                       const DocumentRequest& request,
                                       Retries retries,
                                       const base::Deadline& deadline);

// HEAD of the same: the digest that the host names, nullopt when it names none
// or does not answer such requests (any refusal but a transient one).
absl::StatusOr<std::optional<image::Digest>> FetchDigest(
    HostSession* host, const std::string& tag, Retries retries,
    const base::Deadline& deadline);

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_DOCUMENT_FETCH_H_
