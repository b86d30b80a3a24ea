#include "agent/node/node.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "agent/host/facts.h"
#include "agent/node/network_table.h"
#include "agent/pods/inspection.h"
#include "agent/pods/reconciler.h"
#include "runtime/base/clock.h"
#include "runtime/base/deadline.h"
#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

constexpr char kDefaultImage[] = "warren.local/busybox:latest";
constexpr size_t kReadBytes = 256 * 1024;
// How long links of pods that were just stopped may take to go.
constexpr absl::Duration kLastDrain = absl::Seconds(2);

NodePolicy PolicyOf(const Options& options) {
  return {.ambient_capabilities = options.ambient_capabilities,
          .apparmor_default_profile = options.apparmor_default_profile,
          .grant_ids = options.userns_auto,
          .userns_min_host_id = options.userns_min_host_id};
}

// One sentence of what a start found.
std::string Summary(const ReconcileReport& report) {
  return absl::StrCat("adopted: ", report.sandboxes_adopted, " pods and ",
                      report.containers_adopted, " containers go on, ",
                      report.exits_found, " exits found, ",
                      report.orphans_removed, " links without a pod removed");
}

}  // namespace

Node::Node(const Options& options, NodeParts parts)
    : options_(options), parts_(std::move(parts)) {}

Node::~Node() {
  // Links of pods that were just torn down; the next start would find them.
  parts_.network->Drain(base::Deadline::After(kLastDrain)).IgnoreError();
}

absl::StatusOr<std::unique_ptr<Node>> Node::Start(const Options& options,
                                                  NodeParts parts,
                                                  ProblemSink problems,
                                                  NoteSink notes) {
  std::unique_ptr<Node> node(new Node(options, std::move(parts)));
  const base::Clock* clock = &base::SystemClock();
  node->start_notes_ = node->parts_.images->Problems();
  for (const std::string& lacking :
       node->parts_.runtime->GetFeatures().degraded) {
    node->start_notes_.push_back(lacking);
  }
  ASSIGN_OR_RETURN_IN(std::string boot_id, ReadBootId(), "read the boot id");
  ASSIGN_OR_RETURN_IN(node->store_,
                      Store::Open(options.state_dir, std::move(boot_id)),
                      "open the records");
  node->store_->SetProblemSink(std::move(problems));
  node->containers_ = std::make_unique<ContainerManager>(
      node->parts_.runtime.get(), node->parts_.images.get(), node->store_.get(),
      clock, PolicyOf(options),
      DevicePolicy{.cdi_directories = options.cdi_directories,
                   .belong_to_user = options.devices_belong_to_user});
  node->sandboxes_ = std::make_unique<PodSandboxManager>(
      node->parts_.runtime.get(), node->parts_.network.get(),
      node->store_.get(), node->containers_.get(), clock, PolicyOf(options),
      options.userns_pool);
  node->image_manager_ = std::make_unique<ImageManager>(
      node->parts_.images.get(), node->parts_.puller.get(), clock);
  RETURN_IF_ERROR_IN(node->StartNetwork(), "set up the pod network");
  RETURN_IF_ERROR_IN(node->Adopt(), "adopt what is on record");
  node->ImportDefaultImage();
  node->loop_ = std::make_unique<ReconcileLoop>(
      node->reconciler_.get(), node->store_.get(),
      node->containers_->reconcile(), std::move(notes));
  return node;
}

absl::Status Node::StartNetwork() {
  const absl::Status same_table =
      CheckNetworkTable(options_.state_dir, store_->boot_id(), options_.table);
  if (absl::IsFailedPrecondition(same_table)) return same_table;
  if (!same_table.ok()) {
    unreadable_.push_back(absl::StrCat(
        same_table.message(),
        "; rules in nftables tables of an earlier name would stay"));
    start_notes_.push_back(unreadable_.back());
  }
  ranges_ = std::make_unique<PodRanges>(options_.state_dir, options_.pod_ranges,
                                        parts_.network.get());
  auto saved = ranges_->Read();
  if (!saved.ok()) {
    // The configured ranges serve. A kubelet sends its own again.
    unreadable_.push_back(absl::StrCat(
        saved.status().message(),
        "; the pod ranges that UpdateRuntimeConfig left are not in force"));
    start_notes_.push_back(unreadable_.back());
    saved.emplace();
  }
  RETURN_IF_ERROR(ranges_->Start(*saved));
  const absl::Status kept =
      KeepNetworkTable(options_.state_dir, store_->boot_id(), options_.table);
  if (!kept.ok()) start_notes_.emplace_back(kept.message());
  return absl::OkStatus();
}

absl::Status Node::Adopt() {
  reconciler_ = std::make_unique<Reconciler>(
      parts_.runtime.get(), parts_.network.get(), parts_.images.get(),
      store_.get(), sandboxes_.get(), containers_.get(), &base::SystemClock());
  ASSIGN_OR_RETURN(ReconcileReport report, reconciler_->Adopt());
  start_notes_.push_back(Summary(report));
  for (const std::string& record : report.quarantined) {
    start_notes_.push_back(absl::StrCat("put aside as unreadable: ", record));
  }
  for (std::string& problem : report.problems) {
    start_notes_.push_back(std::move(problem));
  }
  for (const std::string& unknown : report.unknown) {
    start_notes_.push_back(absl::StrCat("kept as it is recorded: ", unknown));
  }
  quarantined_ = std::move(report.quarantined);
  return absl::OkStatus();
}

void Node::ImportDefaultImage() {
  const std::string& path = parts_.default_image;
  if (path.empty()) return;
  const absl::Status imported = ImportIfMissing(path, kDefaultImage);
  if (imported.ok()) return;
  start_notes_.push_back(
      absl::StrCat("no default image: ", imported.message()));
  // An installation without the archive is nothing out of order.
  if (base::ProvesAbsence(base::GetErrno(imported))) return;
  unreadable_.push_back(absl::StrCat(imported.message(), "; the image ",
                                     kDefaultImage, " is not there"));
}

absl::Status Node::ImportIfMissing(const std::string& path,
                                   const std::string& reference) {
  const auto present = parts_.images->Find(reference);
  if (present.ok() || !absl::IsNotFound(present.status())) {
    return present.status();
  }
  ASSIGN_OR_RETURN(const base::UniqueFd file,
                   base::OpenRegularFileAt(AT_FDCWD, path));
  ASSIGN_OR_RETURN_IN(const std::unique_ptr<image::ImportSession> session,
                      parts_.images->BeginImport(reference, /*pinned=*/true),
                      path);
  std::string buffer(kReadBytes, '\0');
  while (true) {
    const ssize_t count = read(file.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::ErrnoError(errno, absl::StrCat("read ", path));
    if (count == 0) break;
    RETURN_IF_ERROR_IN(session->Write(absl::string_view(buffer.data(), count)),
                       path);
  }
  return base::Annotate(session->Commit().status(), path);
}

std::vector<std::string> Node::Unreadable() const {
  std::vector<std::string> files = unreadable_;
  for (std::string& problem : parts_.images->Problems()) {
    files.push_back(std::move(problem));
  }
  HostFacts host;
  ReadHostFiles("/etc", &host);
  files.insert(files.end(), host.unreadable.begin(), host.unreadable.end());
  if (std::string cdi = containers_->UnreadableCdiFiles(); !cdi.empty()) {
    files.push_back(absl::StrCat(cdi, "; CDI devices of these are unknown"));
  }
  return files;
}

cri::StatusResponse Node::Status(bool verbose) const {
  Options in_force = options_;
  in_force.pod_ranges = ranges_->InForce();
  return BuildStatus(in_force,
                     {.features = parts_.runtime->GetFeatures(),
                      .network = parts_.network->CheckHealth(),
                      .refused = parts_.network->Refused(),
                      .quarantined = quarantined_,
                      .unknown = loop_->unknown(),
                      .unsettled = loop_->problems(),
                      .unreadable = Unreadable()},
                     verbose);
}

absl::Status Node::UpdatePodRanges(const std::string& pod_cidr,
                                   const base::Deadline& deadline) {
  if (pod_cidr.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(ranges_->Update(pod_cidr, deadline));
  Reconcile();
  return absl::OkStatus();
}

absl::StatusOr<::warren::node::v1::InspectPodSandboxResponse> Node::Inspect(
    const std::string& pod_sandbox_id) {
  return InspectPodSandbox(pod_sandbox_id, *store_, parts_.runtime.get(),
                           parts_.network.get());
}

}  // namespace warren::agent
