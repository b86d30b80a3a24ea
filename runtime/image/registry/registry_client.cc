#include "runtime/image/registry/registry_client.h"

#include <absl/base/thread_annotations.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "runtime/base/mutex.h"
#include "runtime/base/status.h"
#include "runtime/image/registry/blob_fetch.h"
#include "runtime/image/registry/document_fetch.h"
#include "runtime/image/registry/host_failures.h"
#include "runtime/image/registry/host_session.h"
#include "runtime/image/registry/hosts_file.h"

namespace warren::registry {
namespace {

constexpr size_t kMaxTroubles = 64;

// Pull of RegistryClient: asks one host after the other.
class HostsPull : public Pull {
 public:
  HostsPull(const Repository& repository, std::vector<Endpoint> endpoints,
            const Credentials& credentials, const ClientOptions& options,
            Transport* transport, std::atomic<int>* pulls)
      : transport_(*transport), pulls_(*pulls), retries_(options.retries) {
    ++pulls_;
    for (Endpoint& endpoint : endpoints) {
      hosts_.push_back(std::make_unique<HostSession>(
          std::move(endpoint), repository.host, repository.repository,
          credentials, options.limits, transport));
    }
  }
  ~HostsPull() override {
    hosts_.clear();
    if (--pulls_ == 0) transport_.CloseIdle();
  }

  absl::StatusOr<std::optional<image::Digest>> LookUpTag(
      const std::string& tag, const base::Deadline& deadline) override;
  absl::StatusOr<Document> ResolveTag(const std::string& tag,
                                      const base::Deadline& deadline) override;
  absl::StatusOr<Document> FetchManifest(
      const image::Digest& digest, std::optional<uint64_t> size,
      const base::Deadline& deadline) override;
  absl::Status FetchBlob(const image::Digest& digest, uint64_t size,
                         BlobSink* sink,
                         const base::Deadline& deadline) override;
  std::vector<std::string> Troubles() const override;

 private:
  enum class Use { kResolve, kPull };
  // One try at a host. `final` is set by it when no other host can help.
  using Ask = std::function<absl::Status(HostSession*, Retries, bool* final)>;

  // Until one host answers OK.
  absl::Status AskHosts(Use use, absl::string_view what, const Ask& ask,
                        const base::Deadline& deadline);
  absl::StatusOr<Document> AskForDocument(Use use,
                                          const DocumentRequest& request,
                                          const base::Deadline& deadline);
  std::optional<image::Digest> Pinned(const std::string& tag) const;
  // The digest that counts for `tag` from now on.
  image::Digest Pin(const std::string& tag, const image::Digest& digest);
  void Remember(const HostFailures& failures);

  Transport& transport_;
  std::atomic<int>& pulls_;  // of the client
  const RetryLimits retries_;
  std::vector<std::unique_ptr<HostSession>> hosts_;
  mutable base::Mutex mutex_;
  std::map<std::string, image::Digest> pins_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> troubles_ ABSL_GUARDED_BY(mutex_);
};

absl::Status HostsPull::AskHosts(Use use, absl::string_view what,
                                 const Ask& ask,
                                 const base::Deadline& deadline) {
  HostFailures failures;
  for (const auto& host : hosts_) {
    const Endpoint& endpoint = host->endpoint();
    if (!(use == Use::kResolve ? endpoint.resolve : endpoint.pull)) continue;
    RetryLimits limits = retries_;
    if (host != hosts_.back()) limits.tries = 1;
    bool final = false;
    const absl::Status status = ask(host.get(), Retries(limits), &final);
    if (status.ok()) {
      Remember(failures);
      return status;
    }
    if (final) return base::Annotate(status, what);
    RETURN_IF_ERROR_IN(deadline.Check(), what);
    failures.Add(host->name(), status);
  }
  return failures.Combine(what);
}

absl::StatusOr<Document> HostsPull::AskForDocument(
    Use use, const DocumentRequest& request, const base::Deadline& deadline) {
  std::optional<Document> found;
  RETURN_IF_ERROR(AskHosts(
      use, absl::StrCat("manifest ", request.reference),
      [&](HostSession* host, Retries retries, bool* final) {
        auto document = FetchDocument(host, request, retries, deadline);
        // Of the right digest, yet nothing for us: the same everywhere.
        *final = request.digest.has_value() &&
                 absl::IsInvalidArgument(document.status());
        if (document.ok()) found = *std::move(document);
        return document.status();
      },
      deadline));
  return *std::move(found);
}

absl::StatusOr<std::optional<image::Digest>> HostsPull::LookUpTag(
    const std::string& tag, const base::Deadline& deadline) {
  if (auto pinned = Pinned(tag)) return pinned;
  std::optional<image::Digest> found;
  const absl::Status status = AskHosts(
      Use::kResolve, absl::StrCat("tag ", tag),
      [&](HostSession* host, Retries retries, bool* /*final*/) {
        auto digest = FetchDigest(host, tag, retries, deadline);
        if (!digest.ok()) return digest.status();
        found = *std::move(digest);
        return found ? absl::OkStatus()
                     : absl::NotFoundError("tells no digest");
      },
      deadline);
  if (found) return Pin(tag, *found);
  // The registry itself answered, and it takes a GET to know.
  if (absl::IsNotFound(status)) return std::nullopt;
  return status;
}

absl::StatusOr<Document> HostsPull::ResolveTag(const std::string& tag,
                                               const base::Deadline& deadline) {
  DocumentRequest request;
  request.reference = tag;
  request.digest = Pinned(tag);
  if (request.digest) {
    auto document = FetchManifest(*request.digest, std::nullopt, deadline);
    // Some registries know a document by its tag alone.
    if (document.ok() || !absl::IsNotFound(document.status())) return document;
  }
  ASSIGN_OR_RETURN(Document document,
                   AskForDocument(Use::kResolve, request, deadline));
  if (Pin(tag, document.digest) != document.digest) {
    // Another thread was first, with another answer.
    return ResolveTag(tag, deadline);
  }
  return document;
}

absl::StatusOr<Document> HostsPull::FetchManifest(
    const image::Digest& digest, std::optional<uint64_t> size,
    const base::Deadline& deadline) {
  return AskForDocument(Use::kPull, {digest.ToString(), digest, size},
                        deadline);
}

absl::Status HostsPull::FetchBlob(const image::Digest& digest, uint64_t size,
                                  BlobSink* sink,
                                  const base::Deadline& deadline) {
  BlobFetch fetch(digest, size, sink);
  const std::string what = absl::StrCat("blob ", digest.ToString());
  const absl::Status status = AskHosts(
      Use::kPull, what,
      [&](HostSession* host, Retries retries, bool* final) {
        const absl::Status part = fetch.From(host, retries, deadline);
        *final = !fetch.sink_error().ok();
        return part;
      },
      deadline);
  if (status.ok()) return status;
  absl::Status told(status.code(),
                    absl::StrCat(status.message(), " (", fetch.got(), " of ",
                                 size, " bytes)"));
  status.ForEachPayload([&told](absl::string_view url, const absl::Cord& data) {
    told.SetPayload(url, data);
  });
  return told;
}

std::optional<image::Digest> HostsPull::Pinned(const std::string& tag) const {
  base::MutexLock lock(&mutex_);
  const auto found = pins_.find(tag);
  if (found == pins_.end()) return std::nullopt;
  return found->second;
}

image::Digest HostsPull::Pin(const std::string& tag,
                             const image::Digest& digest) {
  base::MutexLock lock(&mutex_);
  return pins_.emplace(tag, digest).first->second;
}

void HostsPull::Remember(const HostFailures& failures) {
  base::MutexLock lock(&mutex_);
  for (const std::string& line : failures.lines()) {
    if (troubles_.size() < kMaxTroubles &&
        std::find(troubles_.begin(), troubles_.end(), line) ==
            troubles_.end()) {
      troubles_.push_back(line);
    }
  }
}

std::vector<std::string> HostsPull::Troubles() const {
  base::MutexLock lock(&mutex_);
  return troubles_;
}

// What may stand in a path without an escape: the grammar of references is
// narrower still, and it is the caller's to check.
bool FitsPath(absl::string_view text) {
  return !text.empty() && text.size() <= 255 &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
             "._-/") == absl::string_view::npos &&
         text.find("..") == absl::string_view::npos;
}

}  // namespace

absl::Status VerifyingSink::Write(absl::string_view bytes) {
  hash_.Update(bytes);
  return target_->Write(bytes);
}

absl::Status VerifyingSink::Finish() {
  const image::Digest digest = std::exchange(hash_, image::Sha256()).Finish();
  if (digest != digest_) {
    return absl::DataLossError(
        absl::StrCat("sends the bytes of ", digest.ToString()));
  }
  return target_->Finish();
}

absl::Status VerifyingSink::Restart() {
  hash_ = image::Sha256();
  return target_->Restart();
}

RegistryClient::RegistryClient(ClientOptions options, Transport* transport)
    : options_(std::move(options)), transport_(transport) {}

absl::StatusOr<std::unique_ptr<Pull>> RegistryClient::Begin(
    const Repository& repository, const Credentials& credentials) {
  if (!FitsPath(repository.repository) ||
      repository.host.find_first_of("/?#%\\") != std::string::npos) {
    return absl::InvalidArgumentError("registry: no name of a repository");
  }
  ASSIGN_OR_RETURN(std::vector<Endpoint> endpoints,
                   ReadEndpoints(options_.hosts_dir, repository.host));
  return std::make_unique<HostsPull>(repository, std::move(endpoints),
                                     credentials, options_, transport_,
                                     &pulls_);
}

}  // namespace warren::registry
