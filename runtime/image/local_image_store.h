#ifndef WARREN_RUNTIME_IMAGE_LOCAL_IMAGE_STORE_H_
#define WARREN_RUNTIME_IMAGE_LOCAL_IMAGE_STORE_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/synchronization/mutex.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"
#include "runtime/image/blob_store.h"
#include "runtime/image/image_store.h"
#include "runtime/image/image_table.h"
#include "runtime/image/layer_store.h"
#include "runtime/image/limits.h"
#include "runtime/image/unpacker.h"

namespace warren::image {

// A verified image on its way into the table: documents parsed, layers
// unpacked and leased, blobs in a session's directory.
struct ImportCandidate {
  Reference reference;
  bool pinned = false;
  // What the reference's name resolves to: digest of the manifest, or of the
  // index that led to it.
  Digest target;
  KnownManifest manifest;
  Digest config_digest;
  ConfigDocument config;
  std::string config_json;
  std::vector<std::shared_ptr<LayerLease>> layers;
};

// The image store of a node: README.md draws its directory. One process at a
// time (the agent's lock on its state directory sees to that), in the mount
// namespace in which it was opened. Thread-safe: look-ups take a snapshot,
// changes run one after another, layers of different imports unpack side by
// side.
class LocalImageStore : public ImageStore {
 public:
  struct Options {
    std::string root;            // absolute; made when missing
    std::string unpack_program;  // path of warren-unpack
    Limits limits;
  };

  // Loads what was published. An image whose documents or layers are damaged
  // is left out, and a list that is damaged is put aside as refs.json.corrupt*,
  // of which there are at most four: Problems() says so, the store works on. An
  // image of which a look failed (EIO, EMFILE …) is not found until a look
  // succeeds; Usage and CollectGarbage look again. A list that cannot be read
  // is read again by every call that needs it, and none of them succeeds before
  // that. As long as such an image, list or copy exists, no blob and no layer
  // is deleted. kFailedPrecondition: a newer version wrote the list, or the
  // directory does not belong to this user.
  static absl::StatusOr<std::unique_ptr<LocalImageStore>> Open(Options options);
  ~LocalImageStore() override;

  absl::StatusOr<std::shared_ptr<const Image>> Find(
      absl::string_view reference) override;
  std::vector<std::shared_ptr<const Image>> List() override;
  absl::StatusOr<std::shared_ptr<ImageHold>> Hold(
      absl::string_view reference) override;
  absl::StatusOr<std::shared_ptr<ImageHold>> Rehold(
      const std::string& image_id,
      const std::vector<std::string>& layer_dirs) override;
  absl::Status Remove(absl::string_view reference) override;
  absl::StatusOr<std::unique_ptr<ImportSession>> BeginImport(
      const std::string& reference, bool pinned) override;
  absl::StatusOr<FsUsage> Usage() override;
  absl::Status CollectGarbage() override;
  void HoldBack(bool held_back) override;
  // Does not wait for a change under way.
  std::vector<std::string> Problems() override;

  // Where import and pull meet: completes the stack of layers, moves the blobs
  // out of `session_directory`, syncs, and makes the image visible.
  // kInvalidArgument: the layers do not fit together.
  absl::StatusOr<std::shared_ptr<const Image>> Publish(
      const ImportCandidate& candidate, int session_directory);
  LayerStore& layers() { return *layers_; }

  // For pulls: the directory of the store; a path below it, for what is not
  // whole yet, which nobody else has; and the helper.
  int root() const { return root_.get(); }
  std::string TemporaryName(absl::string_view kind) const;
  const Unpacker& unpacker() const { return unpacker_; }
  const Limits& limits() const { return options_.limits; }
  // Gives a published blob this name below the root, too; false when there is
  // none.
  absl::StatusOr<bool> LinkBlob(const Digest& blob, const std::string& name);

 private:
  // The layer that completes an image; no lease: it needs none.
  struct Completed {
    std::shared_ptr<LayerLease> lease;
    std::vector<std::string> remarks;
  };

  explicit LocalImageStore(Options options);
  absl::Status Prepare();
  absl::Status Load();
  // The list, {} without one. A damaged one is put aside.
  absl::StatusOr<std::vector<ImageRecord>> ReadList()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  // Reads the list and loads its images. OK also when it could not be read:
  // list_known_ tells.
  absl::Status LoadList() ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  // Reads the list again if it could not be read. kUnavailable: it cannot.
  absl::Status NeedList() ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  // What the table says; kUnavailable in place of kNotFound without the list.
  absl::StatusOr<ImageTable::Entry> FindEntry(absl::string_view reference);
  absl::StatusOr<ImageEntry> LoadImage(const ImageRecord& record);
  absl::StatusOr<std::vector<KnownManifest>> LoadManifests(
      const ImageRecord& record);
  absl::StatusOr<ImageEntry> Assemble(
      const ImageRecord& record, const std::vector<KnownManifest>& manifests,
      const ConfigDocument& config, std::string config_json,
      std::vector<std::shared_ptr<LayerLease>> layers);
  absl::StatusOr<Completed> Complete(const std::vector<Digest>& diff_ids);
  absl::StatusOr<ImageTable::Entry> PublishEntry(
      const ImportCandidate& candidate, const Completed& completed,
      int session_directory);
  void NoteLoss(std::string sentence);
  // Sets the list aside; `reason` goes into Problems().
  absl::Status PutAside(absl::string_view reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  // Looks once more at images that could not be looked at; why some still
  // cannot.
  std::vector<std::string> LookAgain()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  // Looks once more at what could not be looked at, then decides anew whether
  // anything may be deleted. OK: it may.
  absl::Status CheckWhole() ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  absl::Status WriteRefs(const ImageTable& table)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);
  std::shared_ptr<const ImageTable> table() const;
  void SetTable(ImageTable table) ABSL_EXCLUSIVE_LOCKS_REQUIRED(change_mutex_);

  const Options options_;
  const Unpacker unpacker_;
  base::UniqueFd root_;
  std::string tmp_;  // "tmp/<random>" of this run
  std::unique_ptr<BlobStore> blobs_;
  std::shared_ptr<LayerStore> layers_;
  // Changes with change_mutex_ held.
  std::atomic<bool> list_known_{false};

  absl::Mutex change_mutex_;  // held while the table and blobs/ change
  std::string list_error_ ABSL_GUARDED_BY(change_mutex_);
  bool held_back_ ABSL_GUARDED_BY(change_mutex_) = false;
  // On the list, but not in the table, because a look at them failed.
  std::vector<ImageRecord> unloaded_ ABSL_GUARDED_BY(change_mutex_);
  // Layers of containers that have lost others; until the next start.
  std::vector<std::shared_ptr<LayerLease>> kept_ ABSL_GUARDED_BY(change_mutex_);
  absl::Mutex problem_mutex_ ABSL_ACQUIRED_AFTER(change_mutex_);
  std::vector<std::string> lost_ ABSL_GUARDED_BY(problem_mutex_);
  // Why nothing is deleted, as of the last look.
  std::vector<std::string> kept_because_ ABSL_GUARDED_BY(problem_mutex_);
  mutable absl::Mutex table_mutex_ ABSL_ACQUIRED_AFTER(change_mutex_);
  std::shared_ptr<const ImageTable> table_ ABSL_GUARDED_BY(table_mutex_);
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_LOCAL_IMAGE_STORE_H_
