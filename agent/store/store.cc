#include "agent/store/store.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "agent/cri/ids.h"
#include "runtime/base/clock.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

PodSandboxName NameOf(const record::PodSandboxRecord& record) {
  const auto& metadata = record.config().metadata();
  return {metadata.name(), metadata.namespace_(), metadata.uid(),
          metadata.attempt()};
}

ContainerName NameOf(const record::ContainerRecord& record) {
  const auto& metadata = record.config().metadata();
  return {record.sandbox_id(), metadata.name(), metadata.attempt()};
}

// The one entry of `objects` whose id starts with `prefix`.
template <typename Map>
absl::StatusOr<typename Map::mapped_type> Find(const Map& objects,
                                               absl::string_view what,
                                               absl::string_view prefix) {
  if (prefix.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(what, " id is empty"));
  }
  if (IsIdPrefix(prefix)) {
    const std::string key(prefix);
    const auto found = objects.lower_bound(key);
    const auto matches = [&](typename Map::const_iterator it) {
      return it != objects.end() && it->first.compare(0, key.size(), key) == 0;
    };
    if (matches(found)) {
      if (matches(std::next(found))) {
        return absl::InvalidArgumentError(absl::StrCat(
            what, " id \"", key, "\" is ambiguous: several ids begin so"));
      }
      return found->second;
    }
    return absl::NotFoundError(
        absl::StrCat("no ", what, " \"", key.substr(0, 13), "\""));
  }
  return absl::NotFoundError(
      absl::StrCat("no such ", what, ": that is not an id"));
}

// About what a state takes.
template <typename State>
size_t Bytes(const State* state) {
  return state == nullptr ? 0 : sizeof(State) + state->record.ByteSizeLong();
}

template <typename Map>
std::vector<typename Map::mapped_type> Values(const Map& map) {
  std::vector<typename Map::mapped_type> values;
  values.reserve(map.size());
  for (const auto& [key, value] : map) values.push_back(value);
  return values;
}

}  // namespace

Store::Store(std::string boot_id, RecordDirectory sandboxes,
             RecordDirectory containers)
    : boot_id_(std::move(boot_id)),
      sandbox_records_(std::move(sandboxes)),
      container_records_(std::move(containers)),
      changes_(&base::SystemClock(), ChangeFeed::Limits()) {}

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::string& state_dir,
                                                   std::string boot_id) {
  const std::string quarantine = state_dir + "/quarantine";
  ASSIGN_OR_RETURN(RecordDirectory sandboxes,
                   RecordDirectory::Open(state_dir + "/sandboxes", quarantine));
  ASSIGN_OR_RETURN(
      RecordDirectory containers,
      RecordDirectory::Open(state_dir + "/containers", quarantine));
  return std::unique_ptr<Store>(new Store(
      std::move(boot_id), std::move(sandboxes), std::move(containers)));
}

template <typename State>
typename StoredObject<State>::Tell Store::Teller(const std::string& id) {
  using StatePtr = std::shared_ptr<const State>;
  return [this, id](StatePtr before, StatePtr after) {
    const size_t bytes = Bytes(before.get()) + Bytes(after.get());
    changes_.Publish(
        id, StateChange<State>{std::move(before), std::move(after)}, bytes);
  };
}

PodSandboxPtr Store::NewSandbox(PodSandboxState state) {
  const std::string id = state.record.id();
  return std::make_shared<PodSandbox>(
      id, std::move(state),
      [this](const PodSandboxState& s) {
        return sandbox_records_.Write(s.record.id(),
                                      s.record.SerializeAsString());
      },
      Teller<PodSandboxState>(id));
}

ContainerPtr Store::NewContainer(ContainerState state) {
  const std::string id = state.record.id();
  return std::make_shared<Container>(
      id, std::move(state),
      [this](const ContainerState& s) {
        return container_records_.Write(s.record.id(),
                                        s.record.SerializeAsString());
      },
      Teller<ContainerState>(id));
}

void Store::SetUnknown(UnknownRecord record) {
  const absl::MutexLock lock(&mutex_);
  auto key = std::make_pair(record.kind, record.id);
  unknown_.insert_or_assign(std::move(key), std::move(record));
}

void Store::SetKnown(UnknownRecord::Kind kind, const std::string& id) {
  const absl::MutexLock lock(&mutex_);
  unknown_.erase({kind, id});
}

template <typename Record>
absl::StatusOr<std::optional<Record>> Store::LoadRecord(
    UnknownRecord::Kind kind, const std::string& id,
    std::vector<std::string>* quarantined) {
  const RecordDirectory& directory = kind == UnknownRecord::Kind::kSandbox
                                         ? sandbox_records_
                                         : container_records_;
  auto payload = directory.Read(id);
  if (absl::IsNotFound(payload.status())) {
    // A directory without a record: the crash came before the intent was whole.
    directory.Delete(id).IgnoreError();
    SetKnown(kind, id);
    return std::nullopt;
  }
  if (absl::IsFailedPrecondition(payload.status())) return payload.status();
  if (!payload.ok() && !absl::IsDataLoss(payload.status())) {
    SetUnknown({kind, id, directory.FileOf(id),
                std::string(payload.status().message())});
    return std::nullopt;
  }
  Record record;
  if (payload.ok() && record.ParseFromString(*payload) && record.id() == id &&
      record.config().metadata().name() != "" &&
      record::Phase_IsValid(record.phase())) {
    return record;  // known once it is published
  }
  auto name = directory.Quarantine(id);
  if (!name.ok()) {
    SetUnknown({kind, id, directory.FileOf(id),
                absl::StrCat("it is damaged and stays in its place: ",
                             name.status().message())});
    return std::nullopt;
  }
  quarantined->push_back(*std::move(name));
  SetKnown(kind, id);
  directory.Delete(id).IgnoreError();  // of the directory, if it is empty now
  return std::nullopt;
}

absl::StatusOr<Store::ReservedSandbox> Store::LoadSandbox(
    const std::string& id, std::vector<std::string>* quarantined) {
  ASSIGN_OR_RETURN(auto loaded,
                   LoadRecord<record::PodSandboxRecord>(
                       UnknownRecord::Kind::kSandbox, id, quarantined));
  if (!loaded.has_value()) return ReservedSandbox();
  PodSandboxState state;
  state.record = *std::move(loaded);
  const PodSandboxName name = NameOf(state.record);
  ReservedSandbox reserved = {NewSandbox(std::move(state)), {}};
  // Before its name can be found: it has no spec yet.
  reserved.guard = reserved.object->TryLock();
  const absl::MutexLock lock(&mutex_);
  sandbox_names_.emplace(name, reserved.object);
  return reserved;
}

absl::StatusOr<Store::ReservedContainer> Store::LoadContainer(
    const std::string& id, std::vector<std::string>* quarantined) {
  ASSIGN_OR_RETURN(auto loaded,
                   LoadRecord<record::ContainerRecord>(
                       UnknownRecord::Kind::kContainer, id, quarantined));
  if (!loaded.has_value()) return ReservedContainer();
  ContainerState state;
  state.record = *std::move(loaded);
  const ContainerName name = NameOf(state.record);
  ReservedContainer reserved = {NewContainer(std::move(state)), {}};
  reserved.guard = reserved.object->TryLock();
  const absl::MutexLock lock(&mutex_);
  container_names_.emplace(name, reserved.object);
  return reserved;
}

absl::StatusOr<std::vector<std::string>> Store::Load() {
  std::vector<std::string> quarantined;
  ASSIGN_OR_RETURN(const auto sandboxes, sandbox_records_.Ids());
  for (const std::string& id : sandboxes) {
    ASSIGN_OR_RETURN(const ReservedSandbox sandbox,
                     LoadSandbox(id, &quarantined));
    if (sandbox.object != nullptr) Publish(sandbox.object);
  }
  ASSIGN_OR_RETURN(const auto containers, container_records_.Ids());
  for (const std::string& id : containers) {
    ASSIGN_OR_RETURN(const ReservedContainer container,
                     LoadContainer(id, &quarantined));
    if (container.object != nullptr) Publish(container.object);
  }
  return quarantined;
}

Store::Retried Store::RetryUnknown() {
  Retried result;
  for (const UnknownRecord& record : Unknown()) {
    // An error is a newer version, which stays unknown.
    if (record.kind == UnknownRecord::Kind::kSandbox) {
      auto sandbox = LoadSandbox(record.id, &result.quarantined);
      if (!sandbox.ok() || sandbox->object == nullptr) continue;
      result.sandboxes.push_back(*std::move(sandbox));
    } else {
      auto container = LoadContainer(record.id, &result.quarantined);
      if (!container.ok() || container->object == nullptr) continue;
      result.containers.push_back(*std::move(container));
    }
  }
  return result;
}

std::vector<UnknownRecord> Store::Unknown() const {
  const absl::MutexLock lock(&mutex_);
  std::vector<UnknownRecord> records;
  for (const auto& [key, record] : unknown_) records.push_back(record);
  return records;
}

bool Store::IsUnknown(absl::string_view id) const {
  const absl::MutexLock lock(&mutex_);
  const std::string key(id);
  return unknown_.count({UnknownRecord::Kind::kSandbox, key}) > 0 ||
         unknown_.count({UnknownRecord::Kind::kContainer, key}) > 0;
}

Store::ReservedSandbox Store::Reserve(const PodSandboxName& name,
                                      PodSandboxState state) {
  absl::MutexLock lock(&mutex_);
  if (const auto taken = sandbox_names_.find(name);
      taken != sandbox_names_.end()) {
    return {taken->second, OperationLock::Guard()};
  }
  PodSandboxPtr sandbox = NewSandbox(std::move(state));
  sandbox_names_.emplace(name, sandbox);
  OperationLock::Guard guard = sandbox->TryLock();
  return {std::move(sandbox), std::move(guard)};
}

Store::ReservedContainer Store::Reserve(const ContainerName& name,
                                        ContainerState state) {
  absl::MutexLock lock(&mutex_);
  if (const auto taken = container_names_.find(name);
      taken != container_names_.end()) {
    return {taken->second, OperationLock::Guard()};
  }
  ContainerPtr container = NewContainer(std::move(state));
  container_names_.emplace(name, container);
  OperationLock::Guard guard = container->TryLock();
  return {std::move(container), std::move(guard)};
}

void Store::Publish(const PodSandboxPtr& sandbox) {
  sandbox->Enter([&] {
    absl::MutexLock lock(&mutex_);
    sandboxes_.emplace(sandbox->id(), sandbox);
  });
  SetKnown(UnknownRecord::Kind::kSandbox, sandbox->id());
}

void Store::Publish(const ContainerPtr& container) {
  container->Enter([&] {
    absl::MutexLock lock(&mutex_);
    containers_.emplace(container->id(), container);
  });
  SetKnown(UnknownRecord::Kind::kContainer, container->id());
}

absl::Status Store::Erase(const PodSandboxPtr& sandbox) {
  return sandbox->Leave([&] {
    RETURN_IF_ERROR(sandbox_records_.Delete(sandbox->id()));
    absl::MutexLock lock(&mutex_);
    sandboxes_.erase(sandbox->id());
    const auto name = sandbox_names_.find(NameOf(sandbox->Get()->record));
    if (name != sandbox_names_.end() && name->second == sandbox) {
      sandbox_names_.erase(name);
    }
    return absl::OkStatus();
  });
}

absl::Status Store::Erase(const ContainerPtr& container) {
  return container->Leave([&] {
    RETURN_IF_ERROR(container_records_.Delete(container->id()));
    absl::MutexLock lock(&mutex_);
    containers_.erase(container->id());
    const auto name = container_names_.find(NameOf(container->Get()->record));
    if (name != container_names_.end() && name->second == container) {
      container_names_.erase(name);
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<PodSandboxPtr> Store::FindSandbox(absl::string_view id) const {
  absl::MutexLock lock(&mutex_);
  return Find(sandboxes_, "pod sandbox", id);
}

absl::StatusOr<ContainerPtr> Store::FindContainer(absl::string_view id) const {
  absl::MutexLock lock(&mutex_);
  return Find(containers_, "container", id);
}

std::set<std::string> Store::Ids() const {
  const absl::MutexLock lock(&mutex_);
  std::set<std::string> ids;
  // An object may have lost its name to a newer one, and may not be published.
  for (const auto& entry : sandbox_names_) ids.insert(entry.second->id());
  for (const auto& entry : container_names_) ids.insert(entry.second->id());
  for (const auto& entry : sandboxes_) ids.insert(entry.first);
  for (const auto& entry : containers_) ids.insert(entry.first);
  return ids;
}

std::vector<PodSandboxPtr> Store::Sandboxes() const {
  absl::MutexLock lock(&mutex_);
  return Values(sandboxes_);
}

std::vector<ContainerPtr> Store::Containers() const {
  absl::MutexLock lock(&mutex_);
  return Values(containers_);
}

std::vector<ContainerPtr> Store::ContainersOf(
    const std::string& sandbox_id) const {
  std::vector<ContainerPtr> found;
  absl::MutexLock lock(&mutex_);
  for (auto it = container_names_.lower_bound({sandbox_id, "", 0});
       it != container_names_.end() && it->first.sandbox_id == sandbox_id;
       ++it) {
    found.push_back(it->second);
  }
  return found;
}

void Store::SetProblemSink(std::function<void(absl::string_view)> sink) {
  problem_sink_ = std::move(sink);
}

void Store::Problem(absl::string_view what, const absl::Status& status) const {
  if (status.ok() || !problem_sink_) return;
  problem_sink_(absl::StrCat(what, ": ", status.message()));
}

}  // namespace warren::agent
