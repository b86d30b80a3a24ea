#ifndef WARREN_RUNTIME_IMAGE_PULL_REGISTRY_PULLER_H_
#define WARREN_RUNTIME_IMAGE_PULL_REGISTRY_PULLER_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/statusor.h>

#include <map>
#include <memory>
#include <string>

#include "runtime/base/deadline.h"
#include "runtime/base/mutex.h"
#include "runtime/base/workers.h"
#include "runtime/image/local_image_store.h"
#include "runtime/image/pull/image_puller.h"
#include "runtime/image/pull/layer_fetches.h"
#include "runtime/image/pull/pull_job.h"
#include "runtime/image/reference.h"
#include "runtime/image/registry/credentials.h"
#include "runtime/image/registry/registry_client.h"

namespace warren::image {

// The pulls of a node: README.md draws one. Threads: one for each pull under
// way, one for each layer under way (LayerFetches::Limits). Thread-safe.
class RegistryPuller : public ImagePuller {
 public:
  struct Options {
    int pulls = 64;  // under way at once; others wait their turn
    LayerFetches::Limits layers;
  };

  // `store` and `client` are borrowed and longer-lived.
  static absl::StatusOr<std::unique_ptr<RegistryPuller>> Start(
      LocalImageStore* store, registry::RegistryClient* client,
      const Options& options);
  // Stops every pull and waits until it has ended. Tickets are gone before.
  ~RegistryPuller() override;

  absl::StatusOr<std::unique_ptr<PullTicket>> Begin(
      const PullRequest& request) override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  RegistryPuller(LocalImageStore* store, registry::RegistryClient* client,
                 const Options& options)
      : store_(store), client_(client), options_(options) {}

  // One pull: the work of a thread.
  PullJob::Result Pull(PullJob* job, const Reference& reference,
                       const registry::Credentials& credentials);

  LocalImageStore* const store_;
  registry::RegistryClient* const client_;
  const Options options_;
  base::Mutex mutex_;
  // By reference and a digest of the credentials.
  std::map<std::string, std::shared_ptr<PullJob>> jobs_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<LayerFetches> layers_;
  std::unique_ptr<base::Workers> workers_;  // destroyed first
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_PULL_REGISTRY_PULLER_H_
