#include "runtime/image/registry/document_fetch.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <utility>

#include "runtime/base/status.h"
#include "runtime/image/limits.h"
#include "runtime/image/registry/answer.h"
#include "runtime/image/registry/document_type.h"

namespace warren::registry {
namespace {

// Keeps the whole document.
class DocumentSink : public HostSink {
 public:
  DocumentSink() : collected_(image::kMaxDocumentBytes, false) {}

  absl::Status OnHead(const HttpHead& head) override {
    return collected_.OnHead(head);
  }
  absl::Status OnBody(absl::string_view bytes) override {
    return collected_.OnBody(bytes);
  }
  const HttpHead& head() const { return collected_.head(); }
  const std::string& body() const { return collected_.body(); }

 private:
  CollectSink collected_;
};

HostRequest ManifestRequest(const std::string& reference,
                            HttpRequest::Method method) {
  HostRequest request;
  request.method = method;
  request.path = absl::StrCat("/manifests/", reference);
  request.headers.emplace_back("Accept", kAcceptManifests);
  return request;
}

// Docker-Content-Digest; nullopt when there is none that we know.
absl::StatusOr<std::optional<image::Digest>> DigestOf(const HttpHead& head) {
  const std::string* const text = head.Find("Docker-Content-Digest");
  if (text == nullptr || !absl::StartsWith(*text, "sha256:")) {
    return std::nullopt;
  }
  auto digest = image::Digest::Parse(*text);
  if (digest.ok()) return *std::move(digest);
  return absl::DataLossError("sends a Docker-Content-Digest that is none");
}

absl::StatusOr<Document> Check(const DocumentRequest& request,
                               const DocumentSink& sink) {
  const std::string& body = sink.body();
  if (sink.head().status != 200) {
    return absl::DataLossError(
        absl::StrCat("answers a manifest with HTTP ", sink.head().status));
  }
  if (request.size && *request.size != body.size()) {
    return absl::DataLossError(absl::StrCat(
        "sends ", body.size(), " bytes instead of ", *request.size));
  }
  image::Digest digest = image::Digest::Of(body);
  if (request.digest && digest != *request.digest) {
    return absl::DataLossError(absl::StrCat("sends ", digest.ToString(),
                                            " instead of ",
                                            request.digest->ToString()));
  }
  ASSIGN_OR_RETURN(const auto claimed, DigestOf(sink.head()));
  if (claimed && *claimed != digest) {
    return absl::DataLossError(absl::StrCat(
        "sends ", digest.ToString(), " and calls it ", claimed->ToString()));
  }
  const std::string* const type = sink.head().Find("Content-Type");
  ASSIGN_OR_RETURN(std::string media_type,
                   DocumentType(body, type == nullptr ? "" : *type));
  return Document{body, std::move(media_type), std::move(digest)};
}

}  // namespace

absl::StatusOr<Document> FetchDocument(HostSession* host,
                                       const DocumentRequest& request,
                                       Retries retries,
                                       const base::Deadline& deadline) {
  const HostRequest get =
      ManifestRequest(request.reference, HttpRequest::Method::kGet);
  while (true) {
    DocumentSink sink;
    const absl::Status status = host->Send(get, &sink, deadline);
    if (status.ok()) return Check(request, sink);
    RETURN_IF_ERROR(retries.Wait(status, deadline));
  }
}

absl::StatusOr<std::optional<image::Digest>> FetchDigest(
    HostSession* host, const std::string& tag, Retries retries,
    const base::Deadline& deadline) {
  const HostRequest head = ManifestRequest(tag, HttpRequest::Method::kHead);
  while (true) {
    DocumentSink sink;
    const absl::Status status = host->Send(head, &sink, deadline);
    if (status.ok()) return DigestOf(sink.head());
    const absl::Status wait = retries.Wait(status, deadline);
    if (wait.ok()) continue;
    RETURN_IF_ERROR(deadline.Check());
    if (IsTransient(status) || FailureOf(status) != TransportFailure::kNone) {
      return wait;
    }
    return std::nullopt;
  }
}

}  // namespace warren::registry
