#ifndef WARREN_AGENT_PODS_RECONCILE_PLAN_H_
#define WARREN_AGENT_PODS_RECONCILE_PLAN_H_

#include <string>
#include <vector>

#include "runtime/runtime.h"
#include "warren/record/v1/record.pb.h"

// What to do about the records that were found at start; pure.
//
//   sandbox record   this boot                     another boot
//   CREATING         undo                          undo
//   RUNNING          adopt                         end (NOTREADY)
//   EXITED           finish its stop               finish its stop
//   REMOVING         finish its removal            finish its removal
//
//   container record this boot                     another boot
//   CREATING         undo                          undo
//   CREATED          adopt (can be started)        end (255, Unknown)
//   STARTING,RUNNING adopt: runs on, exit found,   end (255, Unknown)
//                    or lost (255, Unknown)
//   EXITED           keep                          keep
//   REMOVING         finish its removal            finish its removal
//   (sandbox gone)   finish its removal            finish its removal
//
//   kernel object without a record: remove
namespace warren::agent {

struct ReconcileInput {
  std::string boot_id;  // of now
  std::vector<::warren::record::v1::PodSandboxRecord> sandboxes;
  std::vector<::warren::record::v1::ContainerRecord> containers;
  std::vector<std::string> kernel_sandboxes;   // Runtime::ListSandboxIds
  std::vector<std::string> kernel_containers;  // Runtime::ListContainerIds
};

enum class ReconcileAction {
  kKeep,
  kAdopt,
  kEnd,         // record that it is over; its processes are
  kFinishStop,  // sandbox only
  kRemove,      // undo or finish the removal: nothing stays
};

struct ReconcileStep {
  std::string id;
  ReconcileAction action;
  bool operator==(const ReconcileStep&) const = default;
};

struct ReconcilePlan {
  std::vector<ReconcileStep> containers;  // before the sandboxes
  std::vector<ReconcileStep> sandboxes;
  std::vector<std::string> orphan_containers;
  std::vector<std::string> orphan_sandboxes;
};

// One step for each record; ids in the order of the input.
ReconcilePlan Plan(const ReconcileInput& input);

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_RECONCILE_PLAN_H_
