#include "runtime/image/registry/testing/content.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>

#include <random>

#include "runtime/base/status.h"

namespace warren::registry::testing {
namespace {

// What follows `part` in the path of a target.
std::string After(const ServerRequest& request, const std::string& part) {
  const std::string path = request.target.substr(0, request.target.find('?'));
  const size_t start = path.find(part);
  return start == std::string::npos ? "" : path.substr(start + part.size());
}

std::string ErrorBody(absl::string_view code) {
  return absl::StrCat(R"({"errors":[{"code":")", code,
                      R"(","message":"words of a server"}]})");
}

}  // namespace

image::Digest Content::AddBlob(const std::string& bytes) {
  const image::Digest digest = image::Digest::Of(bytes);
  blobs_[digest.ToString()] = bytes;
  return digest;
}

image::Digest Content::AddManifest(const std::string& tag,
                                   const std::string& bytes,
                                   const std::string& type) {
  const image::Digest digest = image::Digest::Of(bytes);
  manifests_[tag] = {type, bytes};
  manifests_[digest.ToString()] = {type, bytes};
  return digest;
}

const std::string* Content::BlobOf(const ServerRequest& request) const {
  const auto found = blobs_.find(After(request, "/blobs/"));
  return found == blobs_.end() ? nullptr : &found->second;
}

void Content::Serve(const ServerRequest& request, Exchange* exchange) const {
  if (const std::string* blob = BlobOf(request)) {
    const size_t start = RangeStart(request);
    if (start == 0) {
      exchange->Respond(200, {}, *blob);
    } else if (start >= blob->size()) {
      exchange->Respond(416, {}, "");
    } else {
      exchange->Respond(206,
                        {{"Content-Range",
                          absl::StrCat("bytes ", start, "-", blob->size() - 1,
                                       "/", blob->size())}},
                        blob->substr(start));
    }
    return;
  }
  const auto manifest = manifests_.find(After(request, "/manifests/"));
  if (manifest == manifests_.end()) {
    const bool blob = absl::StrContains(request.target, "/blobs/");
    exchange->Respond(404, {},
                      ErrorBody(blob ? "BLOB_UNKNOWN" : "MANIFEST_UNKNOWN"));
    return;
  }
  const auto& [type, bytes] = manifest->second;
  exchange->Respond(
      200,
      {{"Content-Type", type},
       {"Docker-Content-Digest", image::Digest::Of(bytes).ToString()}},
      bytes);
}

size_t RangeStart(const ServerRequest& request) {
  const std::string range = request.Get("range");
  size_t start = 0;
  if (!absl::StartsWith(range, "bytes=") ||
      !absl::SimpleAtoi(range.substr(6, range.find('-') - 6), &start)) {
    return 0;
  }
  return start;
}

std::string Noise(size_t size) {
  std::minstd_rand random(42);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

absl::Status StringSink::Write(absl::string_view bytes) {
  bytes_.append(bytes.data(), bytes.size());
  return absl::OkStatus();
}

absl::Status StringSink::Restart() {
  bytes_.clear();
  ++restarts_;
  return absl::OkStatus();
}

absl::StatusOr<std::string> FetchToString(Pull* pull,
                                          const std::string& expected,
                                          const base::Deadline& deadline) {
  const image::Digest digest = image::Digest::Of(expected);
  StringSink kept;
  VerifyingSink sink(digest, &kept);
  RETURN_IF_ERROR(pull->FetchBlob(digest, expected.size(), &sink, deadline));
  return kept.bytes();
}

}  // namespace warren::registry::testing
