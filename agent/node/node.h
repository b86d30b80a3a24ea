#ifndef WARREN_AGENT_NODE_NODE_H_
#define WARREN_AGENT_NODE_NODE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/cri/cri.h"
#include "agent/node/parts.h"
#include "agent/node/pod_ranges.h"
#include "agent/node/status.h"
#include "agent/options/options.h"
#include "agent/pods/container_manager.h"
#include "agent/pods/image_manager.h"
#include "agent/pods/pod_sandbox_manager.h"
#include "agent/pods/reconcile_loop.h"
#include "agent/pods/reconciler.h"
#include "agent/store/store.h"
#include "runtime/base/deadline.h"
#include "warren/node/v1/node.pb.h"

namespace warren::agent {

// The daemon without its API: the store and the managers on top of the three
// parts, and what concerns the node as a whole. Thread-safe once started.
class Node {
 public:
  // Takes trouble that no caller can be told of; called from any thread.
  using ProblemSink = std::function<void(absl::string_view)>;

  // Takes what the node does by itself, such as orphans removed; as above.
  using NoteSink = ReconcileLoop::NoteSink;

  // Opens the store, initialises the network and adopts what is on record:
  // afterwards calls may be served, and the reconcile loop removes what is left
  // over beside them. May take seconds with many pods; not cancellable. An
  // error means that the daemon cannot work here at all.
  static absl::StatusOr<std::unique_ptr<Node>> Start(const Options& options,
                                                     NodeParts parts,
                                                     ProblemSink problems,
                                                     NoteSink notes = {});
  // Leaves pods and containers as they are; waits for links that are being
  // deleted.
  ~Node();

  PodSandboxManager& sandboxes() { return *sandboxes_; }
  ContainerManager& containers() { return *containers_; }
  ImageManager& images() { return *image_manager_; }
  image::ImageStore& image_store() { return *parts_.images; }
  image::ImagePuller& image_puller() { return *parts_.puller; }

  // What the start found out, for the log: one sentence each.
  const std::vector<std::string>& start_notes() const { return start_notes_; }

  // Status RPC.
  cri::StatusResponse Status(bool verbose) const;
  // UpdateRuntimeConfig RPC. `pod_cidr` as CRI has it; empty = nothing to do.
  // Kept in <state_dir>/pod_ranges, which wins over the configuration at the
  // next start: a kubelet says it once, not after each restart of ours. Pods of
  // the ranges of before go on. All or nothing, one call at a time: see
  // PodRanges::Update.
  absl::Status UpdatePodRanges(const std::string& pod_cidr,
                               const base::Deadline& deadline);
  // Has the reconcile loop look at everything now. Does not block.
  void Reconcile() { loop_->Now(); }
  // NodeService.InspectPodSandbox; see inspection.h.
  absl::StatusOr<::warren::node::v1::InspectPodSandboxResponse> Inspect(
      const std::string& pod_sandbox_id);

  // Imports an archive under `reference` unless the store has that image. The
  // archive must be a regular file; the error names it.
  absl::Status ImportIfMissing(const std::string& path,
                               const std::string& reference);

 private:
  Node(const Options& options, NodeParts parts);

  absl::Status StartNetwork();
  absl::Status Adopt();
  void ImportDefaultImage();
  // The files of NodeFacts as they are now. Reads two small ones of /etc.
  std::vector<std::string> Unreadable() const;

  const Options options_;
  std::vector<std::string> start_notes_;
  std::vector<std::string> quarantined_;
  std::vector<std::string> unreadable_;  // see NodeFacts: found at the start
  // Destroyed in reverse order: a part stands above those that use it.
  NodeParts parts_;
  std::unique_ptr<PodRanges> ranges_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ContainerManager> containers_;
  std::unique_ptr<PodSandboxManager> sandboxes_;
  std::unique_ptr<ImageManager> image_manager_;
  std::unique_ptr<Reconciler> reconciler_;
  std::unique_ptr<ReconcileLoop> loop_;
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_NODE_NODE_H_
