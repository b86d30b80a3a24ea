#include "agent/pods/reconcile_plan.h"

#include <algorithm>
#include <set>

namespace warren::agent {
namespace {

namespace record = ::warren::record::v1;

ReconcileAction Decide(const record::PodSandboxRecord& sandbox,
                       const std::string& boot_id) {
  switch (sandbox.phase()) {
    case record::RUNNING:
      return sandbox.boot_id() == boot_id ? ReconcileAction::kAdopt
                                          : ReconcileAction::kEnd;
    case record::EXITED:
      return ReconcileAction::kFinishStop;
    default:
      return ReconcileAction::kRemove;
  }
}

ReconcileAction Decide(const record::ContainerRecord& container,
                       const std::string& boot_id) {
  switch (container.phase()) {
    case record::CREATED:
    case record::STARTING:
    case record::RUNNING:
      return container.boot_id() == boot_id ? ReconcileAction::kAdopt
                                            : ReconcileAction::kEnd;
    case record::EXITED:
      return ReconcileAction::kKeep;
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
    const ReconcileAction action = Decide(sandbox, input.boot_id);
    plan.sandboxes.push_back({sandbox.id(), action});
    sandboxes.insert(sandbox.id());
    if (action != ReconcileAction::kRemove) staying.insert(sandbox.id());
  }
  for (const record::ContainerRecord& container : input.containers) {
    const ReconcileAction action = staying.count(container.sandbox_id()) != 0
                                       ? Decide(container, input.boot_id)
                                       : ReconcileAction::kRemove;
    plan.containers.push_back({container.id(), action});
    containers.insert(container.id());
  }
  plan.orphan_sandboxes = Without(input.kernel_sandboxes, sandboxes);
  plan.orphan_containers = Without(input.kernel_containers, containers);
  return plan;
}

}  // namespace warren::agent
