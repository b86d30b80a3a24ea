#include <absl/strings/str_cat.h>

#include "agent/pods/container_manager.h"
#include "agent/store/lifecycle.h"

// Exits, as the runtime reports them.
namespace warren::agent {

void ContainerManager::OnExit(const std::string& id,
                              const runtime::ExitRecord& exit) {
  auto container = store_->FindContainer(id);
  // lint: allow absence: the store knows all; it was removed meanwhile
  if (!container.ok()) return;
  const auto apply = [&](ContainerState* state) -> absl::Status {
    switch (state->record.phase()) {
      case record::STARTING:
        // The start is not recorded yet; it will find this.
        state->early_exit = exit;
        return absl::OkStatus();
      case record::RUNNING:
        return SetExited(exit, clock_->RealNow(), &state->record);
      default:
        return absl::OkStatus();  // its end is known; set once (REL-8)
    }
  };
  // The exit is a fact; exit.pb tells the next agent if the record cannot.
  store_->Problem(
      absl::StrCat("record of container ", id),
      (*container)->Update(Container::Write::kFactEvenUnrecorded, apply));
  if ((*container)->Get()->spec->pid != runtime::NamespaceMode::kContainer) {
    reconcile_.Fire({ReconcileKey::Kind::kLeftovers, (*container)->id()});
  }
}

}  // namespace warren::agent
