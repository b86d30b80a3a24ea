#include "runtime/image/pull/layer_fetches.h"

#include <absl/strings/str_cat.h>

#include <optional>

#include "runtime/base/status.h"

namespace warren::image {
namespace {

template <class Key>
int CountOf(const std::map<Key, int>& counts, const Key& key) {
  const auto it = counts.find(key);
  return it == counts.end() ? 0 : it->second;
}

template <class Key>
void CountDown(std::map<Key, int>* counts, const Key& key) {
  if (--(*counts)[key] == 0) counts->erase(key);
}

}  // namespace

absl::StatusOr<std::unique_ptr<LayerFetches>> LayerFetches::Start(
    LocalImageStore* store, const Limits& limits) {
  std::unique_ptr<LayerFetches> fetches(new LayerFetches(store, limits));
  ASSIGN_OR_RETURN(fetches->workers_, base::Workers::Start(limits.in_all));
  return fetches;
}

bool LayerFetches::HasPlace(const registry::Pull* pull,
                            const std::string& host) const {
  return in_all_ < limits_.in_all &&
         CountOf(of_host_, host) < limits_.of_host &&
         CountOf(of_pull_, pull) < limits_.of_pull;
}

std::unique_ptr<LayerFetches::Part> LayerFetches::TryGet(
    const LayerWanted& wanted, const std::shared_ptr<registry::Pull>& pull,
    const std::string& host, bool share) {
  const Key key(host, wanted.blob.digest, wanted.blob.size, wanted.diff_id);
  const auto other = under_way_.find(key);
  if (share && other != under_way_.end() && other->second->Join()) {
    return std::make_unique<Part>(other->second, /*own=*/false);
  }
  if (!HasPlace(pull.get(), host)) return nullptr;
  auto fetch = std::make_shared<LayerFetch>(store_, wanted);
  fetch->Join();
  ++in_all_;
  ++of_host_[host];
  ++of_pull_[pull.get()];
  under_way_[key] = fetch;
  workers_->Run(
      [this, key, fetch, pull, host] { Work(key, fetch, pull, host); });
  return std::make_unique<Part>(std::move(fetch), /*own=*/true);
}

absl::StatusOr<std::vector<std::unique_ptr<LayerFetches::Part>>>
LayerFetches::Get(const std::vector<LayerWanted>& wanted, uint64_t max_entries,
                  const std::shared_ptr<registry::Pull>& pull,
                  const std::string& host, const base::Deadline& deadline,
                  Begun begun) {
  std::vector<std::unique_ptr<Part>> parts(wanted.size());
  std::vector<bool> alone(wanted.size(), false);
  const base::MutexLock lock(&mutex_);
  while (true) {
    size_t there = 0;
    uint64_t entries = 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (parts[i] == nullptr) {
        parts[i] = TryGet(wanted[i], pull, host, !alone[i]);
        if (parts[i] == nullptr) continue;
        begun(i, parts[i]->fetch());
      }
      const std::optional<absl::Status> end = parts[i]->fetch()->end();
      if (!end.has_value()) continue;
      if (end->ok()) {
        ++there;
        entries += store_->layers().SizeOf(wanted[i].diff_id).inodes;
        continue;
      }
      if (parts[i]->own()) return *end;
      parts[i] = nullptr;
      alone[i] = true;
      --i;  // begin it at once, if there is a place
    }
    if (entries > max_entries) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "the layers have more than ", max_entries, " files and directories"));
    }
    if (there == wanted.size()) return parts;
    RETURN_IF_ERROR(deadline.Check());
    ended_.Wait(&mutex_, deadline);
  }
}

void LayerFetches::Work(const Key& key,
                        const std::shared_ptr<LayerFetch>& fetch,
                        const std::shared_ptr<registry::Pull>& pull,
                        const std::string& host) {
  fetch->Run(pull.get());
  const base::MutexLock lock(&mutex_);
  const auto it = under_way_.find(key);
  if (it != under_way_.end() && it->second == fetch) under_way_.erase(it);
  --in_all_;
  CountDown(&of_host_, host);
  CountDown<const registry::Pull*>(&of_pull_, pull.get());
  ended_.NotifyAll();
}

}  // namespace warren::image
