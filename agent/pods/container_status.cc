#include <absl/strings/str_cat.h>

#include "agent/cri/signal_names.h"
#include "agent/pods/container_manager.h"
#include "agent/pods/info_json.h"
#include "agent/pods/object_filter.h"
#include "agent/store/lifecycle.h"
#include "runtime/base/status.h"

// What can be seen of containers; looks at snapshots only.
namespace warren::agent {
namespace {

void PutUser(const record::User& user, cri::ContainerStatus* out) {
  cri::LinuxContainerUser* to = out->mutable_user()->mutable_linux();
  to->set_uid(user.uid());
  to->set_gid(user.gid());
  for (uint32_t group : user.groups()) to->add_supplemental_groups(group);
}

void PutConfig(const ContainerState& state, cri::ContainerStatus* out) {
  const cri::ContainerConfig& config = state.record.config();
  *out->mutable_metadata() = config.metadata();
  *out->mutable_labels() = config.labels();
  *out->mutable_annotations() = config.annotations();
  *out->mutable_mounts() = config.mounts();  // container_path as it was sent
  const runtime::ContainerSpec& spec = *state.spec;
  if (!spec.log_path.empty()) {
    out->set_log_path(absl::StrCat(spec.log_directory, "/", spec.log_path));
  }
  if (config.linux().has_resources()) {
    *out->mutable_resources()->mutable_linux() = config.linux().resources();
  }
}

cri::ContainerStatus ToStatus(const ContainerState& state) {
  const record::ContainerRecord& record = state.record;
  cri::ContainerStatus out;
  out.set_id(record.id());
  out.set_state(PublicState(record));
  out.set_created_at(record.created_at_ns());
  out.set_started_at(record.started_at_ns());
  out.set_finished_at(record.finished_at_ns());
  out.set_exit_code(record.exit_code());
  out.set_reason(record.reason());
  out.set_message(record.message());
  *out.mutable_image() = record.config().image();
  if (!record.image_name().empty()) {
    out.mutable_image()->set_image(record.image_name());
  }
  out.set_image_ref(record.image_ref());
  out.set_image_id(record.image_id());
  out.set_stop_signal(SignalToCri(record.stop_signal()));
  PutConfig(state, &out);
  PutUser(record.user(), &out);
  return out;
}

cri::Container ToItem(const record::ContainerRecord& record) {
  cri::Container out;
  out.set_id(record.id());
  out.set_pod_sandbox_id(record.sandbox_id());
  *out.mutable_metadata() = record.config().metadata();
  *out.mutable_image() = record.config().image();
  out.set_image_ref(record.image_id());
  out.set_image_id(record.image_id());
  out.set_state(PublicState(record));
  out.set_created_at(record.created_at_ns());
  *out.mutable_labels() = record.config().labels();
  *out.mutable_annotations() = record.config().annotations();
  return out;
}

}  // namespace

absl::StatusOr<cri::ContainerStatusResponse> ContainerManager::Status(
    const std::string& id, bool verbose) const {
  ASSIGN_OR_RETURN(const ContainerPtr container, store_->FindContainer(id));
  const auto state = container->Get();
  if (state->withdrawn) {
    return absl::NotFoundError("the container is being removed");
  }
  cri::ContainerStatusResponse response;
  *response.mutable_status() = ToStatus(*state);
  if (verbose) {
    (*response.mutable_info())["info"] =
        ContainerInfo(*state, *container->timings());
  }
  return response;
}

std::vector<cri::Container> ContainerManager::List(
    const cri::ContainerFilter& filter) const {
  std::vector<cri::Container> items;
  for (const ContainerPtr& container : Select(*store_, filter)) {
    items.push_back(ToItem(container->Get()->record));
  }
  return items;
}

}  // namespace warren::agent
