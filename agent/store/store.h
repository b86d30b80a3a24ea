#ifndef WARREN_AGENT_STORE_STORE_H_
#define WARREN_AGENT_STORE_STORE_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>
#include <absl/synchronization/mutex.h>

#include <atomic>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/convert/volume_images.h"
#include "agent/store/change_feed.h"
#include "agent/store/record_file.h"
#include "agent/store/stored_object.h"
#include "netplugin/pod_network.h"
#include "runtime/base/mutex.h"
#include "runtime/image/image_store.h"
#include "runtime/runtime.h"
#include "warren/record/v1/record.pb.h"

namespace warren::agent {

namespace record = ::warren::record::v1;

// ---- What the store keeps of each object ----------------------------------
//
// A state is plain data: whoever keeps a snapshot, such as a reader of the
// change feed, keeps memory and nothing else.

struct PodSandboxState {
  record::PodSandboxRecord record;
  // Derived from the record; set before the object can be seen.
  std::shared_ptr<const runtime::SandboxSpec> spec;
  // As the record has it; none: the node's network, or given back.
  std::optional<netplugin::NetworkState> network;
  bool stopped = false;  // nothing is left for Stop to do; not recorded
  // It was half-made or half-removed when the agent started, and goes: nobody
  // is shown it until its removal has failed. Not recorded.
  bool withdrawn = false;
};

struct ContainerState {
  record::ContainerRecord record;
  std::shared_ptr<const runtime::ContainerSpec> spec;
  // An exit that was reported before StartContainer had returned.
  std::optional<runtime::ExitRecord> early_exit;
  bool withdrawn = false;  // as a pod's
};

using PodSandbox = StoredObject<PodSandboxState>;
using PodSandboxPtr = std::shared_ptr<PodSandbox>;

// The layers that a container needs while it exists.
struct ContainerImages {
  std::shared_ptr<image::ImageHold> root;
  VolumeHolds volumes;
};

// A container, the layers it needs, and what the StopContainer calls on it
// agree on.
class Container : public StoredObject<ContainerState> {
 public:
  using StoredObject::StoredObject;

  // Keeps these and lets go of those before; with {} the layers are free,
  // whoever still looks at the object. Goes with the object.
  void HoldImages(ContainerImages images);

  // A caller begins to wait; the earliest of all waiters' times (monotonic
  // nanoseconds) counts. True for the first, who sends the stop signal.
  bool JoinStop(int64_t kill_at);
  void HastenStop(int64_t kill_at);
  void LeaveStop();
  int64_t kill_at() const;

  // Exec sessions under way; Wake() after a change.
  std::atomic<int> exec_sessions{0};

 private:
  mutable base::Mutex stop_mutex_;
  int stop_waiters_ ABSL_GUARDED_BY(stop_mutex_) = 0;
  int64_t kill_at_ ABSL_GUARDED_BY(stop_mutex_) = INT64_MAX;
  base::Mutex images_mutex_;
  ContainerImages images_ ABSL_GUARDED_BY(images_mutex_);
};
using ContainerPtr = std::shared_ptr<Container>;

// Names that CRI lets exist once (1.3 of its rules).
struct PodSandboxName {
  std::string name, ns, uid;
  uint32_t attempt = 0;
  auto operator<=>(const PodSandboxName&) const = default;
};
struct ContainerName {
  std::string sandbox_id, name;
  uint32_t attempt = 0;
  auto operator<=>(const ContainerName&) const = default;
};

// A record of which only its place is known, because the look at it failed or
// because it is damaged and cannot be put aside. Its object may be whole and
// may run: nothing of it is ended or removed.
struct UnknownRecord {
  enum class Kind { kSandbox, kContainer };
  Kind kind;
  std::string id;
  std::string file;    // below the state directory
  std::string reason;  // one sentence
};

// ---- The store ------------------------------------------------------------

// Owns the truth about pods and containers: in memory for reading, in
//   <state>/sandboxes/<id>/record.pb
//   <state>/containers/<id>/record.pb
//   <state>/quarantine/…               records that could not be read
// for the next agent. An object is reserved by name first and can be looked
// up by id only once it was published. Thread-safe; no lock of the store is
// held across I/O of an object. An object's write mutex comes before the
// store's.
class Store {
 public:
  // Makes the directories. `boot_id` is that of records written from now on.
  static absl::StatusOr<std::unique_ptr<Store>> Open(
      const std::string& state_dir, std::string boot_id);

  const std::string& boot_id() const { return boot_id_; }

  // Reads every record; single-threaded, once, before anything else. Records
  // that are torn go to quarantine and are named in the result; those of which
  // nothing is known stay where they are and are in Unknown(). An error means
  // that the directory cannot be used or is of a newer version.
  absl::StatusOr<std::vector<std::string>> Load();

  // Sandboxes first, in the order of their ids. Empty on a sound node.
  std::vector<UnknownRecord> Unknown() const;
  // True when the record of this object, whatever its kind, is unknown.
  bool IsUnknown(absl::string_view id) const;

  // A name's object. `guard` is held if the object is new and now belongs to
  // the caller, which then calls Publish or Erase; else the name was taken.
  struct ReservedSandbox {
    PodSandboxPtr object;
    OperationLock::Guard guard;
  };
  ReservedSandbox Reserve(const PodSandboxName& name, PodSandboxState state);
  struct ReservedContainer {
    ContainerPtr object;
    OperationLock::Guard guard;
  };
  ReservedContainer Reserve(const ContainerName& name, ContainerState state);

  // Reads the unknown records once more. Those that can be read now are
  // reserved under their names as by Reserve, with their guard held; the caller
  // gives them their spec and publishes them. A name that was taken meanwhile
  // stays with its new object. Until it is published an object stays unknown.
  // Reads files; one caller at a time.
  struct Retried {
    std::vector<ReservedSandbox> sandboxes;
    std::vector<ReservedContainer> containers;
    std::vector<std::string> quarantined;  // as of Load
  };
  Retried RetryUnknown();

  // The object can be found and listed from now on, and its changes are in the
  // feed.
  void Publish(const PodSandboxPtr& sandbox);
  void Publish(const ContainerPtr& container);

  // Deletes the record and forgets object and name. The operation lock must
  // be held. On error the object stays.
  absl::Status Erase(const PodSandboxPtr& sandbox);
  absl::Status Erase(const ContainerPtr& container);

  // By id or unique prefix (API-7): kInvalidArgument when empty or ambiguous,
  // kNotFound otherwise.
  absl::StatusOr<PodSandboxPtr> FindSandbox(absl::string_view id) const;
  absl::StatusOr<ContainerPtr> FindContainer(absl::string_view id) const;

  // Of all that has a name or can be found, also what is still being made.
  std::set<std::string> Ids() const;
  // Published ones, in the order of their ids.
  std::vector<PodSandboxPtr> Sandboxes() const;
  std::vector<ContainerPtr> Containers() const;
  // All of one sandbox, also those that are still being made.
  std::vector<ContainerPtr> ContainersOf(const std::string& sandbox_id) const;

  // Every change of what can be found. A reader ends before the store.
  ChangeFeed* changes() { return &changes_; }

  // Where trouble goes that has no caller to be told, such as a record that
  // could not be written after an exit. Set once, before use.
  void SetProblemSink(std::function<void(absl::string_view)> sink);
  void Problem(absl::string_view what, const absl::Status& status) const;

 private:
  Store(std::string boot_id, RecordDirectory sandboxes,
        RecordDirectory containers);

  // Its guard is held. A null object: there is none, it is unknown, or it was
  // put away.
  absl::StatusOr<ReservedSandbox> LoadSandbox(
      const std::string& id, std::vector<std::string>* quarantined);
  absl::StatusOr<ReservedContainer> LoadContainer(
      const std::string& id, std::vector<std::string>* quarantined);
  // Reads one record; nullopt as above.
  template <typename Record>
  absl::StatusOr<std::optional<Record>> LoadRecord(
      UnknownRecord::Kind kind, const std::string& id,
      std::vector<std::string>* quarantined);
  void SetUnknown(UnknownRecord record);
  void SetKnown(UnknownRecord::Kind kind, const std::string& id);
  PodSandboxPtr NewSandbox(PodSandboxState state);
  ContainerPtr NewContainer(ContainerState state);
  // What its objects tell of their changes with.
  template <typename State>
  typename StoredObject<State>::Tell Teller(const std::string& id);

  const std::string boot_id_;
  const RecordDirectory sandbox_records_;
  const RecordDirectory container_records_;
  std::function<void(absl::string_view)> problem_sink_;
  ChangeFeed changes_;

  mutable absl::Mutex mutex_;
  std::map<PodSandboxName, PodSandboxPtr> sandbox_names_
      ABSL_GUARDED_BY(mutex_);
  std::map<ContainerName, ContainerPtr> container_names_
      ABSL_GUARDED_BY(mutex_);
  std::map<std::string, PodSandboxPtr, std::less<>> sandboxes_
      ABSL_GUARDED_BY(mutex_);
  std::map<std::string, ContainerPtr, std::less<>> containers_
      ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<UnknownRecord::Kind, std::string>, UnknownRecord> unknown_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_STORE_STORE_H_
