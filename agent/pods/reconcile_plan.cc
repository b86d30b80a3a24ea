#include "agent/pods/reconcile_plan.h"

#include <algorithm>
#include <set>

namespace warren::agent {
namespace {

namespace record = ::warren::record::v1;

bool Has(const std::set<std::string>& ids, const std::string& id) {
  return ids.count(id) != 0;
}

ReconcileAction Decide(const record::PodSandboxRecord& sandbox,
                       const ReconcileInput& input) {
  const bool this_boot = sandbox.boot_id() == input.boot_id;
  switch (sandbox.phase()) {
    case record::RUNNING:
      if (!this_boot) return ReconcileAction::kEnd;
      return Has(input.seen, sandbox.id()) ? ReconcileAction::kLook
                                           : ReconcileAction::kAdopt;
    case record::EXITED: {
      // Its containers may have a grace that only a kubelet knows.
      const bool by_itself = this_boot && !sandbox.ended_because().empty();
      return by_itself || Has(input.stopped, sandbox.id())
                 ? ReconcileAction::kKeep
                 : ReconcileAction::kFinishStop;
    }
    default:
      return ReconcileAction::kRemove;
  }
}

ReconcileAction Decide(const record::ContainerRecord& container,
                       const ReconcileInput& input) {
  switch (container.phase()) {
    case record::CREATED:
    case record::STARTING:
    case record::RUNNING:
      if (container.boot_id() != input.boot_id) return ReconcileAction::kEnd;
      if (!Has(input.seen, container.id())) return ReconcileAction::kAdopt;
      return container.has_pending_resources() ? ReconcileAction::kSettleUpdate
                                               : ReconcileAction::kKeep;
    case record::EXITED:
      return Has(input.suspects, container.id())
                 ? ReconcileAction::kKillLeftovers
                 : ReconcileAction::kKeep;
    default:
      return ReconcileAction::kRemove;
  }
}

std::vector<std::string> Without(const std::vector<std::string>& ids,
                                 const std::set<std::string>& known) {
  std::set<std::string> rest;
  for (const std::string& id : ids) {
    if (known.count(id) == 0) rest.insert(id);
  }
  return {rest.begin(), rest.end()};
}

}  // namespace

ReconcilePlan Plan(const ReconcileInput& input) {
  ReconcilePlan plan;
  std::set<std::string> sandboxes, staying, containers;
  for (const record::PodSandboxRecord& sandbox : input.sandboxes) {
    const ReconcileAction action = Decide(sandbox, input);
    plan.sandboxes.push_back({sandbox.id(), action});
    sandboxes.insert(sandbox.id());
    if (action != ReconcileAction::kRemove) staying.insert(sandbox.id());
  }
  for (const record::ContainerRecord& container : input.containers) {
    ReconcileAction action = ReconcileAction::kRemove;
    if (Has(input.unknown, container.sandbox_id())) {
      action = ReconcileAction::kLeave;
    } else if (Has(staying, container.sandbox_id())) {
      action = Decide(container, input);
    }
    plan.containers.push_back({container.id(), action});
    containers.insert(container.id());
  }
  sandboxes.insert(input.unknown.begin(), input.unknown.end());
  containers.insert(input.unknown.begin(), input.unknown.end());
  plan.orphan_sandboxes = Without(input.kernel_sandboxes, sandboxes);
  plan.orphan_containers = Without(input.kernel_containers, containers);
  return plan;
}

}  // namespace warren::agent
