#include "runtime/image/pull/registry_puller.h"

#include <absl/strings/str_cat.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/image/pull/image_pull.h"

namespace warren::image {
namespace {

class Ticket : public PullTicket {
 public:
  explicit Ticket(std::shared_ptr<PullJob> job) : job_(std::move(job)) {}
  ~Ticket() override { job_->Leave(); }

  bool done() const override { return job_->result().has_value(); }
  PullJob::Result result() const override {
    return job_->result().value_or(absl::InternalError("pull is under way"));
  }
  PullProgress progress() const override { return job_->progress(); }
  std::function<void()> Watch(std::function<void()> wake) override {
    const uint64_t watch = job_->Watch(std::move(wake));
    return [job = job_, watch] { job->Unwatch(watch); };
  }

 private:
  const std::shared_ptr<PullJob> job_;
};

// Tells pulls apart; nothing of the credentials can be read from it.
std::string KeyOf(const Reference& reference,
                  const registry::Credentials& credentials) {
  const std::string secret = absl::StrCat(
      static_cast<int>(credentials.kind), "\n", credentials.username.size(),
      "\n", credentials.username, credentials.secret);
  return absl::StrCat(reference.ToString(), " ", Digest::Of(secret).hex());
}

}  // namespace

absl::StatusOr<std::unique_ptr<RegistryPuller>> RegistryPuller::Start(
    LocalImageStore* store, registry::RegistryClient* client,
    const Options& options) {
  std::unique_ptr<RegistryPuller> puller(
      new RegistryPuller(store, client, options));
  ASSIGN_OR_RETURN(puller->layers_, LayerFetches::Start(store, options.layers));
  ASSIGN_OR_RETURN(puller->workers_, base::Workers::Start(options.pulls));
  return puller;
}

RegistryPuller::~RegistryPuller() {
  const base::MutexLock lock(&mutex_);
  for (const auto& [key, job] : jobs_) job->Stop();
}

absl::StatusOr<std::unique_ptr<PullTicket>> RegistryPuller::Begin(
    const PullRequest& request) {
  ASSIGN_OR_RETURN(Reference reference, ParseReference(request.reference));
  ASSIGN_OR_RETURN(
      registry::Credentials credentials,
      registry::ChooseCredentials(request.auth, RepositoryOf(reference).host));
  const std::string key = KeyOf(reference, credentials);
  const base::MutexLock lock(&mutex_);
  const auto other = jobs_.find(key);
  if (other != jobs_.end() && other->second->Join()) {
    return std::make_unique<Ticket>(other->second);
  }
  auto job = std::make_shared<PullJob>();
  job->Join();
  jobs_[key] = job;
  workers_->Run([this, key, job, reference = std::move(reference),
                 credentials = std::move(credentials)] {
    PullJob::Result result = Pull(job.get(), reference, credentials);
    {
      // Nobody joins what has ended: a tag may have moved meanwhile.
      const base::MutexLock held(&mutex_);
      const auto it = jobs_.find(key);
      if (it != jobs_.end() && it->second == job) jobs_.erase(it);
    }
    job->Finish(std::move(result));
  });
  return std::make_unique<Ticket>(std::move(job));
}

PullJob::Result RegistryPuller::Pull(PullJob* job, const Reference& reference,
                                     const registry::Credentials& credentials) {
  ImagePull pull(store_, client_, layers_.get(), job);
  PullJob::Result image = pull.Run(reference, credentials);
  if (image.ok()) return image;
  return base::Annotate(image.status(),
                        absl::StrCat("pull ", reference.ToString()));
}

}  // namespace warren::image
