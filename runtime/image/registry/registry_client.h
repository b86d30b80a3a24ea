#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_REGISTRY_CLIENT_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_REGISTRY_CLIENT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/deadline.h"
#include "runtime/image/digest.h"
#include "runtime/image/registry/credentials.h"
#include "runtime/image/registry/retry.h"
#include "runtime/image/registry/transport.h"

// From a name to bytes: the client of OCI distribution registries. It gives
// back what a registry serves under a name or a digest and knows nothing of
// what is inside: choosing a platform, unpacking and storing is the caller's.
//
// Errors of all calls, by code:
//   kNotFound          no host has this name or blob
//   kUnauthenticated   the registry wants (other) credentials
//   kPermissionDenied  it knows the caller and says no
//   kUnavailable       it could not be reached, or says "later"
//   kDataLoss          what it sends is wrong: digest, size, form
//   kInvalidArgument   the question or the configuration of the node is wrong
//   kCancelled, kDeadlineExceeded   as the deadline says
// and whatever a sink answered. With several hosts (mirrors) the code is that
// of the last one, the registry itself; the message names each host with its
// reason. Messages hold no credential, no token, no query of an address and
// nothing that a server wrote but the error codes of the distribution
// specification.
namespace warren::registry {

// Which image. `host` is the domain of the normalised reference with its port
// ("docker.io", "registry.example:5000"), `repository` the path behind it
// ("library/busybox").
struct Repository {
  std::string host;
  std::string repository;
};

// A manifest, an index, or whatever else is stored under the name. The bytes
// are those that `digest` says.
struct Document {
  std::string bytes;
  // What it is: its own "mediaType", else the kind that its fields show. The
  // header of the response counts only where the document says nothing.
  std::string media_type;
  image::Digest digest;
};

// Receives one blob. Called on the thread that called FetchBlob.
class BlobSink {
 public:
  virtual ~BlobSink() = default;
  // The next bytes; never empty, never more in all than the size asked for.
  // May block: such time is no stall of the registry. An error ends the fetch
  // and is handed on, with the exception of kDataLoss: see Finish().
  virtual absl::Status Write(absl::string_view bytes) = 0;
  // All bytes are there. kDataLoss: they are not those of the digest; then
  // they are fetched again, or from the next host.
  virtual absl::Status Finish() = 0;
  // Forget everything: the next Write() is at offset 0.
  virtual absl::Status Restart() = 0;
};

// A sink that checks the SHA-256 and hands everything on to `target`, which
// is borrowed. Finish() answers kDataLoss when the digest is another one, and
// does not call target->Finish() then.
class VerifyingSink : public BlobSink {
 public:
  VerifyingSink(const image::Digest& digest, BlobSink* target)
      : digest_(digest), target_(target) {}
  absl::Status Write(absl::string_view bytes) override;
  absl::Status Finish() override;
  absl::Status Restart() override;

 private:
  const image::Digest digest_;
  BlobSink* const target_;
  image::Sha256 hash_;
};

// How the node reaches registries. All of it may be left as it is.
struct ClientOptions {
  // Directory in containerd's layout (hosts_file.h): <host>/hosts.toml. Empty:
  // none. Read anew for each pull, so that a change needs no restart.
  std::string hosts_dir;
  HttpLimits limits;
  // At the registry itself. A mirror is tried once, as the next host is there;
  // a transfer that moves goes on at any of them.
  RetryLimits retries;
};

// One pull: the hosts that serve a repository, their tokens, and the digest
// that the tag had when it was first looked up. Thread-safe: layers may be
// fetched in parallel, each on a thread of the caller. All calls block until
// they are done or `deadline` is over; a stop request ends them at once.
class Pull {
 public:
  virtual ~Pull() = default;

  // The digest that `tag` has now, by one HEAD: a registry that counts pulls
  // does not count it. Empty when the registry does not say, and then
  // ResolveTag() has to find out. What it says is pinned.
  virtual absl::StatusOr<std::optional<image::Digest>> LookUpTag(
      const std::string& tag, const base::Deadline& deadline) = 0;

  // The document under `tag`, at most 4 MiB. The digest is pinned: a second
  // call for the same tag gives the same document, or fails.
  virtual absl::StatusOr<Document> ResolveTag(
      const std::string& tag, const base::Deadline& deadline) = 0;

  // The document with this digest, verified; at most 4 MiB. `size`, when the
  // descriptor that led here gives one, must be its size.
  virtual absl::StatusOr<Document> FetchManifest(
      const image::Digest& digest, std::optional<uint64_t> size,
      const base::Deadline& deadline) = 0;

  // The blob with this digest into `sink`, exactly `size` bytes. A transfer
  // that is cut goes on where it ended, at the same host or the next one. The
  // digest is the sink's to verify: give it a VerifyingSink, or one that
  // answers kDataLoss itself. On any error the sink holds a part of it that
  // must not be used.
  virtual absl::Status FetchBlob(const image::Digest& digest, uint64_t size,
                                 BlobSink* sink,
                                 const base::Deadline& deadline) = 0;

  // Hosts that failed although the pull went on at another one: "host:
  // reason", in order, each once, at most 64. For the log.
  virtual std::vector<std::string> Troubles() const = 0;
};

// Thread-safe. Connections stay open between requests and between pulls that
// overlap; with the last Pull they are closed.
class RegistryClient {
 public:
  // `transport` is borrowed and longer-lived.
  RegistryClient(ClientOptions options, Transport* transport);

  // Reads the configuration of the host, sends nothing. kInvalidArgument when
  // that cannot be understood; the message names file and line. The Pull
  // must not outlive this object.
  //
  // `credentials` go to the registry itself (the entry "server" of hosts.toml
  // where there is one) and to the token server that it names; a mirror gets
  // what its own entry of hosts.toml says and no more.
  absl::StatusOr<std::unique_ptr<Pull>> Begin(const Repository& repository,
                                              const Credentials& credentials);

 private:
  const ClientOptions options_;
  Transport* const transport_;
  std::atomic<int> pulls_{0};
};

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_REGISTRY_CLIENT_H_
