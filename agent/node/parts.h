#ifndef WARREN_AGENT_NODE_PARTS_H_
#define WARREN_AGENT_NODE_PARTS_H_

#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <vector>

#include "agent/options/options.h"
#include "netplugin/pod_network.h"
#include "runtime/image/image_store.h"
#include "runtime/image/pull/image_puller.h"
#include "runtime/runtime.h"

namespace warren::agent {

// What is below the three seams, chosen and built in one place: on a node the
// real ones, in tests doubles.
struct NodeParts {
  std::unique_ptr<image::ImageStore> images;
  std::unique_ptr<image::ImagePuller> puller;  // into `images`
  std::unique_ptr<runtime::Runtime> runtime;
  std::unique_ptr<netplugin::PodNetwork> network;  // not initialised
  // Archive that Node imports under the default reference; "" = none.
  std::string default_image;
};

// The real ones. Programs and the default image are found beside this program:
//   <prefix>/bin/warrend
//   <prefix>/libexec/warren/{warren-shim,warren-unpack}
//   <prefix>/share/warren/default-image.tar
// Makes directories, the pins and the cgroup parent, and reads the shim. An
// error names the part that cannot work here, "start the runtime: …". Call it
// once: the runtime changes process-wide state (machine/linux_runtime.h).
absl::StatusOr<NodeParts> MakeNodeParts(const Options& options);

}  // namespace warren::agent

#endif  // WARREN_AGENT_NODE_PARTS_H_
