#ifndef WARREN_AGENT_API_PULL_STREAM_H_
#define WARREN_AGENT_API_PULL_STREAM_H_

#include <absl/status/status.h>

#include <functional>
#include <string>

#include "agent/caller/call_context.h"
#include "runtime/image/pull/image_puller.h"
#include "warren/node/v1/node.pb.h"

namespace warren::agent {

// NodeService.PullImage: a pull, and how far it is whenever that has changed,
// at most every kPullTick. `write` takes a message and is false once the client
// has gone. On the thread of the call, until the end of the pull or of the
// call. `image_id` gets the id of the image, for the log line. Errors: those of
// the pull, kCancelled, kDeadlineExceeded.
inline constexpr absl::Duration kPullTick = absl::Milliseconds(200);
absl::Status StreamPull(
    const ::warren::node::v1::PullImageRequest& request,
    image::ImagePuller* puller, const CallContext& caller,
    const std::function<bool(const ::warren::node::v1::PullImageProgress&)>&
        write,
    std::string* image_id);

}  // namespace warren::agent

#endif  // WARREN_AGENT_API_PULL_STREAM_H_
