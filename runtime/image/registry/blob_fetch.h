#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_BLOB_FETCH_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_BLOB_FETCH_H_

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/base/deadline.h"
#include "runtime/image/digest.h"
#include "runtime/image/registry/host_session.h"
#include "runtime/image/registry/registry_client.h"
#include "runtime/image/registry/retry.h"

// One blob, from one host after the other until it is whole.
namespace warren::registry {

// What "Content-Range: bytes 5-9/10" says; nullopt for anything else. `total`
// is missing where it is "*".
struct ContentRange {
  uint64_t first = 0;
  uint64_t last = 0;
  std::optional<uint64_t> total;
};
std::optional<ContentRange> ParseContentRange(absl::string_view text);

// A download and how far it is. Single-threaded.
//
// A cut transfer is taken up with "Range: bytes=N-". Bytes are appended only
// where the answer is 206 and starts at N (and its total, if it has one, is the
// size); of a 200 the first N bytes are read and dropped; 416 is answered by
// one request with a closed range. Whatever else comes leads to a request
// without a range. Accept-Ranges is not asked for: most registries have ranges
// and do not say so.
class BlobFetch {
 public:
  // `sink` is borrowed; how it is used stands at FetchBlob().
  BlobFetch(const image::Digest& digest, uint64_t size, BlobSink* sink);

  // Goes on at `host`. OK: whole, and Finish() of the sink was content.
  // kDataLoss: the host sends other bytes or more of them; the sink was told
  // to restart. Everything else: the bytes so far are kept.
  absl::Status From(HostSession* host, Retries retries,
                    const base::Deadline& deadline);

  // Not OK once the sink has failed: no other host can help.
  const absl::Status& sink_error() const { return sink_error_; }
  uint64_t got() const { return got_; }

 private:
  class Receiver;
  enum class RangeForm { kOpen, kClosed, kNone };

  HostRequest NextRequest(RangeForm form) const;
  absl::Status Write(absl::string_view bytes);
  absl::Status Finish();
  absl::Status Restart();
  // What `error` of the sink means: kDataLoss is the host's fault.
  absl::Status FromSink(absl::Status error);

  const image::Digest digest_;
  const uint64_t size_;
  BlobSink* const sink_;
  uint64_t got_ = 0;
  // Answers that the bytes so far came from.
  int answers_ = 0;
  absl::Status sink_error_;
};

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_BLOB_FETCH_H_
