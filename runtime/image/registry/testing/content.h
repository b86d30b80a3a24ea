#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_CONTENT_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_CONTENT_H_

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "runtime/image/digest.h"
#include "runtime/image/registry/registry_client.h"
#include "runtime/image/registry/testing/http_server.h"

// What an honest registry serves, and a sink that keeps it. Test only.
namespace warren::registry::testing {

// One repository, whatever its name.
class Content {
 public:
  // Adds a blob, or a manifest under a tag and its digest.
  image::Digest AddBlob(const std::string& bytes);
  image::Digest AddManifest(const std::string& tag, const std::string& bytes,
                            const std::string& type);

  // Answers GET and HEAD of /v2/<name>/{manifests,blobs}/<reference>, ranges of
  // blobs included; 404 with MANIFEST_UNKNOWN or BLOB_UNKNOWN for the rest.
  void Serve(const ServerRequest& request, Exchange* exchange) const;

  // The blob a request asks for; nullptr when it asks for none.
  const std::string* BlobOf(const ServerRequest& request) const;

 private:
  std::map<std::string, std::string> blobs_;
  std::map<std::string, std::pair<std::string, std::string>> manifests_;
};

// N of "Range: bytes=N-"; 0 without.
size_t RangeStart(const ServerRequest& request);

// Bytes that do not repeat early.
std::string Noise(size_t size);

// Keeps a blob.
class StringSink : public BlobSink {
 public:
  absl::Status Write(absl::string_view bytes) override;
  absl::Status Finish() override { return absl::OkStatus(); }
  absl::Status Restart() override;

  const std::string& bytes() const { return bytes_; }
  int restarts() const { return restarts_; }

 private:
  std::string bytes_;
  int restarts_ = 0;
};

// Fetches a blob, verified.
absl::StatusOr<std::string> FetchToString(Pull* pull,
                                          const std::string& expected,
                                          const base::Deadline& deadline);

}  // namespace warren::registry::testing

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_CONTENT_H_
