#include "agent/ctl/name_match.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <vector>

#include "runtime/base/status.h"

namespace warren::agent::ctl {
namespace {

// Picks from `items`: an exact id, else those named so (a live one wins over
// the others), else the only one whose id starts so.
template <class Items, class Named, class Alive>
auto Match(const Items& items, absl::string_view text, const char* what,
           Named named, Alive alive)
    -> absl::StatusOr<typename Items::value_type> {
  using Item = typename Items::value_type;
  std::vector<const Item*> by_name;
  std::vector<const Item*> live;
  std::vector<const Item*> by_prefix;
  for (const Item& item : items) {
    if (item.id() == text) return item;
    if (named(item)) {
      by_name.push_back(&item);
      if (alive(item)) live.push_back(&item);
    }
    if (!text.empty() && absl::StartsWith(item.id(), text)) {
      by_prefix.push_back(&item);
    }
  }
  for (const auto* found : {&live, &by_name, &by_prefix}) {
    if (found->size() == 1) return *found->front();
    if (found->size() > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(found->size(), " ", what, "s fit \"", text,
                       "\": give more of the id"));
    }
  }
  return absl::NotFoundError(absl::StrCat("no ", what, " \"", text, "\""));
}

}  // namespace

absl::StatusOr<cri::PodSandbox> MatchPod(
    const cri::ListPodSandboxResponse& pods, absl::string_view text) {
  return Match(
      pods.items(), text, "pod",
      [&](const cri::PodSandbox& pod) {
        return pod.metadata().name() == text ||
               absl::StrCat(pod.metadata().namespace_(), "/",
                            pod.metadata().name()) == text;
      },
      [](const cri::PodSandbox& pod) {
        return pod.state() == cri::SANDBOX_READY;
      });
}

absl::StatusOr<cri::Container> MatchContainer(
    const cri::ListContainersResponse& containers, absl::string_view text) {
  return Match(
      containers.containers(), text, "container",
      [&](const cri::Container& container) {
        return container.metadata().name() == text;
      },
      [](const cri::Container& container) {
        return container.state() == cri::CONTAINER_RUNNING;
      });
}

absl::StatusOr<cri::PodSandbox> FindPod(Client& client,
                                        absl::string_view text) {
  ASSIGN_OR_RETURN(const cri::ListPodSandboxResponse pods,
                   client.ListPodSandbox());
  return MatchPod(pods, text);
}

absl::StatusOr<cri::Container> FindContainer(Client& client,
                                             absl::string_view text) {
  const size_t slash = text.rfind('/');
  if (slash != absl::string_view::npos) {
    ASSIGN_OR_RETURN(const cri::PodSandbox pod,
                     FindPod(client, text.substr(0, slash)));
    ASSIGN_OR_RETURN(const cri::ListContainersResponse containers,
                     client.ListContainers(pod.id()));
    return MatchContainer(containers, text.substr(slash + 1));
  }
  ASSIGN_OR_RETURN(const cri::ListContainersResponse all,
                   client.ListContainers(""));
  absl::StatusOr<cri::Container> container = MatchContainer(all, text);
  if (!absl::IsNotFound(container.status())) return container;
  const absl::StatusOr<cri::PodSandbox> pod = FindPod(client, text);
  if (!pod.ok()) return container;
  ASSIGN_OR_RETURN(const cri::ListContainersResponse own,
                   client.ListContainers(pod->id()));
  if (own.containers_size() == 1) return own.containers(0);
  return absl::InvalidArgumentError(
      absl::StrCat("pod \"", text, "\" has ", own.containers_size(),
                   " containers: say POD/CONTAINER"));
}

}  // namespace warren::agent::ctl
