#include "agent/api/pull_stream.h"

#include <absl/cleanup/cleanup.h>

#include <memory>

#include "agent/cri/validate.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status.h"

namespace warren::agent {

namespace api = ::warren::node::v1;

namespace {

registry::AuthFields AuthOf(const api::RegistryAuth& auth) {
  return {auth.username(),       auth.password(),       auth.auth(),
          auth.server_address(), auth.identity_token(), auth.registry_token()};
}

api::LayerProgress::State ToApi(image::LayerProgress::State state) {
  using State = image::LayerProgress::State;
  switch (state) {
    case State::kFetching:
      return api::LayerProgress::FETCHING;
    case State::kUnpacking:
      return api::LayerProgress::UNPACKING;
    case State::kDone:
      return api::LayerProgress::DONE;
    case State::kWaiting:
      break;
  }
  return api::LayerProgress::WAITING;
}

api::PullImageProgress ToApi(const image::PullProgress& progress) {
  api::PullImageProgress message;
  for (const image::LayerProgress& layer : progress.layers) {
    api::LayerProgress* out = message.add_layers();
    out->set_digest(layer.digest);
    out->set_size(layer.size);
    out->set_fetched(layer.fetched);
    out->set_state(ToApi(layer.state));
  }
  return message;
}

void Fill(const image::Image& image, api::PulledImage* out) {
  out->set_image_id(image.id);
  for (const std::string& tag : image.repo_tags) out->add_repo_tags(tag);
  for (const std::string& name : image.repo_digests) {
    out->add_repo_digests(name);
  }
  out->set_size_bytes(image.size_bytes);
}

// Wakes the thread of the call.
struct Bell {
  base::Mutex mutex;
  base::Condition rung;
  bool done ABSL_GUARDED_BY(mutex) = false;
};

}  // namespace

absl::Status StreamPull(
    const api::PullImageRequest& request, image::ImagePuller* puller,
    const CallContext& caller,
    const std::function<bool(const api::PullImageProgress&)>& write,
    std::string* image_id) {
  RETURN_IF_ERROR(CheckName("reference", request.reference()));
  ASSIGN_OR_RETURN(
      const std::unique_ptr<image::PullTicket> ticket,
      puller->Begin({request.reference(), AuthOf(request.auth())}));
  Bell bell;
  const auto unwatch = ticket->Watch([&bell] {
    const base::MutexLock lock(&bell.mutex);
    bell.done = true;
    bell.rung.NotifyAll();
  });
  const absl::Cleanup quiet = [&unwatch] { unwatch(); };
  std::string last;
  while (!ticket->done()) {
    RETURN_IF_ERROR(caller.deadline.Check());
    const api::PullImageProgress message = ToApi(ticket->progress());
    if (std::string bytes = message.SerializeAsString(); bytes != last) {
      if (!write(message)) return absl::CancelledError("client has gone");
      last = std::move(bytes);
    }
    const base::Deadline tick = caller.deadline.Within(kPullTick);
    const base::MutexLock lock(&bell.mutex);
    if (!bell.done) bell.rung.Wait(&bell.mutex, tick);
  }
  ASSIGN_OR_RETURN(const auto image, ticket->result());
  *image_id = image->id;
  api::PullImageProgress message = ToApi(ticket->progress());
  Fill(*image, message.mutable_image());
  if (!write(message)) return absl::CancelledError("client has gone");
  return absl::OkStatus();
}

}  // namespace warren::agent
