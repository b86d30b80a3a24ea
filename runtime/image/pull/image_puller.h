#ifndef WARREN_RUNTIME_IMAGE_PULL_IMAGE_PULLER_H_
#define WARREN_RUNTIME_IMAGE_PULL_IMAGE_PULLER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/image/image_store.h"
#include "runtime/image/registry/credentials.h"

// The seam between the agent and pulls: images that come from registries into
// the store.
namespace warren::image {

struct PullRequest {
  std::string reference;      // as the caller wrote it
  registry::AuthFields auth;  // never logged, recorded or repeated in an error
};

struct LayerProgress {
  enum class State {
    kWaiting,    // for a place among the layers under way
    kFetching,   // its bytes arrive and are unpacked
    kUnpacking,  // all bytes are there
    kDone,
  };
  std::string digest;  // of the blob, "sha256:…"
  uint64_t size = 0;   // of the blob, in bytes
  uint64_t fetched = 0;
  State state = State::kWaiting;
};

struct PullProgress {
  std::vector<LayerProgress>
      layers;  // lowest first; empty until they are known
};

// One caller's part in a pull. Dropped before the end, the caller has left:
// the others' parts go on, and after the last one the pull stops. Thread-safe.
class PullTicket {
 public:
  virtual ~PullTicket() = default;

  virtual bool done() const = 0;
  // Of a pull that is done. Codes: registry/registry_client.h for what a
  // registry answers; kInvalidArgument: the image is bad; kResourceExhausted:
  // it is too large for the limits or for the file system; kUnavailable: the
  // list of images cannot be read. The message begins with the reference.
  virtual absl::StatusOr<std::shared_ptr<const Image>> result() const = 0;
  virtual PullProgress progress() const = 0;

  // Calls `wake` once the pull is done, on any thread, now or later; it must
  // not wait. Returns what ends that: once it has returned, `wake` is not
  // called any more.
  virtual std::function<void()> Watch(std::function<void()> wake) = 0;
};

// Thread-safe.
class ImagePuller {
 public:
  virtual ~ImagePuller() = default;

  // Begins a pull, or takes part in one of the same reference with the same
  // credentials that is under way. Does not wait. kInvalidArgument: bad syntax
  // of the reference or of the credentials.
  virtual absl::StatusOr<std::unique_ptr<PullTicket>> Begin(
      const PullRequest& request) = 0;
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_PULL_IMAGE_PULLER_H_
