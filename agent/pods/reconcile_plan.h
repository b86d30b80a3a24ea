#ifndef WARREN_AGENT_PODS_RECONCILE_PLAN_H_
#define WARREN_AGENT_PODS_RECONCILE_PLAN_H_

#include <set>
#include <string>
#include <vector>

#include "runtime/runtime.h"
#include "warren/record/v1/record.pb.h"

// What to do about the objects of the node; pure. What a record says is what is
// desired, and what was seen of an object is compared with it. The same table
// holds at the start of an agent, when nothing was seen yet, and later.
//
//   sandbox record   this boot                     another boot
//   CREATING         undo                          undo
//   RUNNING          adopt; once seen, look if it  end (NOTREADY)
//                    still is what it was
//   EXITED           finish its stop; keep once    finish its stop
//                    stopped, or while nobody
//                    asked for a stop (it ended
//                    by itself)
//   REMOVING         finish its removal            finish its removal
//
//   container record this boot                     another boot
//   CREATING         undo                          undo
//   CREATED          adopt (can be started);       end (255, Unknown)
//                    then as RUNNING
//   STARTING,RUNNING adopt: runs on, exit found,   end (255, Unknown)
//                    or lost (255, Unknown); once
//                    seen, settle an update that
//                    was cut short, or keep
//   EXITED           kill what it may have left,   keep
//                    until that is dead; or keep
//   REMOVING         finish its removal            finish its removal
//   (sandbox gone)   finish its removal            finish its removal
//   (sandbox's record unknown)  leave              leave
//
//   kernel object without a record: remove
//   kernel object whose record is unknown: leave
//
// An object with a record of this boot that is being made or worked on by a
// call looks half-made: whoever plans holds the object's lock.
namespace warren::agent {

struct ReconcileInput {
  std::string boot_id;  // of now
  // Recorded. All that are known, or those that a step is wanted for; a
  // container's sandbox has to be among them.
  std::vector<::warren::record::v1::PodSandboxRecord> sandboxes;
  std::vector<::warren::record::v1::ContainerRecord> containers;
  // Observed. Ids of objects that this agent has adopted or made.
  std::set<std::string> seen;
  // Sandboxes of which nothing is left to be stopped.
  std::set<std::string> stopped;
  // Ended containers of which processes may be left.
  std::set<std::string> suspects;
  // Ids whose record cannot be read.
  std::set<std::string> unknown;
  std::vector<std::string> kernel_sandboxes;   // Runtime::ListSandboxIds
  std::vector<std::string> kernel_containers;  // Runtime::ListContainerIds
};

enum class ReconcileAction {
  kKeep,
  kLook,   // sandbox only: keep, unless something of it was taken away
  kLeave,  // nobody can tell what it is
  kAdopt,
  kEnd,            // record that it is over; its processes are
  kFinishStop,     // sandbox only
  kSettleUpdate,   // container only
  kKillLeftovers,  // container only
  kRemove,         // undo or finish the removal: nothing stays
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
