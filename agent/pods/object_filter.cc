#include "agent/pods/object_filter.h"

#include <algorithm>
#include <utility>

#include "agent/store/lifecycle.h"

namespace warren::agent {
namespace {

template <typename Ptr>
void NewestFirst(std::vector<Ptr>* objects) {
  std::vector<std::pair<int64_t, Ptr>> keyed;
  keyed.reserve(objects->size());
  for (Ptr& object : *objects) {
    const int64_t created = object->Get()->record.created_at_ns();
    keyed.emplace_back(-created, std::move(object));
  }
  std::sort(keyed.begin(), keyed.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first, a.second->id()) <
           std::pair(b.first, b.second->id());
  });
  objects->clear();
  for (auto& [key, object] : keyed) objects->push_back(std::move(object));
}

}  // namespace

bool HasLabels(
    const google::protobuf::Map<std::string, std::string>& labels,
    const google::protobuf::Map<std::string, std::string>& selector) {
  return std::all_of(selector.begin(), selector.end(), [&](const auto& pair) {
    const auto found = labels.find(pair.first);
    return found != labels.end() && found->second == pair.second;
  });
}

std::vector<PodSandboxPtr> Select(const Store& store,
                                  const cri::PodSandboxFilter& filter) {
  std::vector<PodSandboxPtr> candidates;
  if (filter.id().empty()) {
    candidates = store.Sandboxes();
  } else if (auto one = store.FindSandbox(filter.id()); one.ok()) {
    candidates = {*std::move(one)};
  }
  const auto unwanted = [&](const PodSandboxPtr& sandbox) {
    const auto state = sandbox->Get();
    return state->withdrawn ||
           (filter.has_state() &&
            PublicState(state->record) != filter.state().state()) ||
           !HasLabels(state->record.config().labels(), filter.label_selector());
  };
  candidates.erase(
      std::remove_if(candidates.begin(), candidates.end(), unwanted),
      candidates.end());
  NewestFirst(&candidates);
  return candidates;
}

std::vector<ContainerPtr> Select(const Store& store,
                                 const cri::ContainerFilter& filter) {
  std::string sandbox_id;
  if (!filter.pod_sandbox_id().empty()) {
    // The sandbox may have been removed while the filter is by a whole id;
    // then no container has it either.
    auto sandbox = store.FindSandbox(filter.pod_sandbox_id());
    // lint: allow absence: the store knows all
    if (!sandbox.ok()) return {};
    sandbox_id = (*sandbox)->id();
  }
  std::vector<ContainerPtr> candidates;
  if (filter.id().empty()) {
    candidates = store.Containers();
  } else if (auto one = store.FindContainer(filter.id()); one.ok()) {
    candidates = {*std::move(one)};
  }
  const auto unwanted = [&](const ContainerPtr& container) {
    const auto state = container->Get();
    return state->withdrawn ||
           (!sandbox_id.empty() && state->record.sandbox_id() != sandbox_id) ||
           (filter.has_state() &&
            PublicState(state->record) != filter.state().state()) ||
           !HasLabels(state->record.config().labels(), filter.label_selector());
  };
  candidates.erase(
      std::remove_if(candidates.begin(), candidates.end(), unwanted),
      candidates.end());
  NewestFirst(&candidates);
  return candidates;
}

}  // namespace warren::agent
