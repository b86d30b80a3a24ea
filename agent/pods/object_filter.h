#ifndef WARREN_AGENT_PODS_OBJECT_FILTER_H_
#define WARREN_AGENT_PODS_OBJECT_FILTER_H_

#include <string>
#include <vector>

#include "agent/cri/cri.h"
#include "agent/store/store.h"

// Lists and their filters: all given fields must match; an id may be a unique
// prefix, and one that fits nothing or several gives an empty list.
// Objects that are still being made, or withdrawn, are not among them.
// Thread-safe; looks at snapshots only and so never waits for an object.
namespace warren::agent {

// Does `labels` have every pair of `selector`?
bool HasLabels(const google::protobuf::Map<std::string, std::string>& labels,
               const google::protobuf::Map<std::string, std::string>& selector);

// Newest first.
std::vector<PodSandboxPtr> Select(const Store& store,
                                  const cri::PodSandboxFilter& filter);
std::vector<ContainerPtr> Select(const Store& store,
                                 const cri::ContainerFilter& filter);

}  // namespace warren::agent

#endif  // WARREN_AGENT_PODS_OBJECT_FILTER_H_
