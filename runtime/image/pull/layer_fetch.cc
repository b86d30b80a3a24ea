#include "runtime/image/pull/layer_fetch.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/image/unpacker.h"

namespace warren::image {

// Where the bytes of a blob go: its file, its digest, and a process of
// warren-unpack if there is a directory for it.
class LayerFetch::Sink : public registry::BlobSink {
 public:
  // All borrowed; `directory`, below the root, may be empty.
  Sink(LayerFetch* fetch, int file, std::string directory)
      : fetch_(*fetch), file_(file), directory_(std::move(directory)) {}

  absl::Status Write(absl::string_view bytes) override {
    if (hashed_ == 0) RETURN_IF_ERROR(BeginUnpacking());
    hash_.Update(bytes);
    hashed_ += bytes.size();
    RETURN_IF_ERROR_IN(base::WriteFd(file_, bytes), "write a layer");
    if (unpacking_ != nullptr) {
      RETURN_IF_ERROR(unpacking_->Feed(bytes, fetch_.deadline()));
    }
    fetch_.fetched_ = hashed_;
    return absl::OkStatus();
  }

  // What the unpacker says of bytes that are not those of the digest counts
  // for nothing.
  absl::Status Finish() override {
    if (hashed_ == 0) RETURN_IF_ERROR(BeginUnpacking());
    const Digest digest = hash_.Finish();
    if (digest != fetch_.wanted_.blob.digest) {
      return absl::DataLossError(
          absl::StrCat("the bytes are those of ", digest.ToString()));
    }
    if (unpacking_ == nullptr) return absl::OkStatus();
    fetch_.state_ = LayerProgress::State::kUnpacking;
    report_ = unpacking_->Finish(fetch_.deadline());
    return report_.status();
  }

  absl::Status Restart() override {
    unpacking_ = nullptr;
    hash_ = Sha256();
    hashed_ = 0;
    fetch_.fetched_ = 0;
    if (ftruncate(file_, 0) != 0 || lseek(file_, 0, SEEK_SET) != 0) {
      return base::ErrnoError(errno, "empty the file of a layer");
    }
    if (directory_.empty()) return absl::OkStatus();
    return base::RemoveTree(fetch_.store_->root(), directory_);
  }

  const absl::StatusOr<UnpackReport>& report() const { return report_; }

 private:
  absl::Status BeginUnpacking() {
    if (directory_.empty()) return absl::OkStatus();
    const int root = fetch_.store_->root();
    if (mkdirat(root, directory_.c_str(), 0700) != 0) {
      return base::ErrnoError(errno, "make the directory of a layer");
    }
    ASSIGN_OR_RETURN(
        target_,
        base::OpenAt(root, directory_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    ASSIGN_OR_RETURN(unpacking_, fetch_.store_->unpacker().Begin(
                                     fetch_.wanted_.compression, target_.get(),
                                     fetch_.wanted_.max_entries));
    return absl::OkStatus();
  }

  LayerFetch& fetch_;
  const int file_;
  const std::string directory_;
  Sha256 hash_;
  uint64_t hashed_ = 0;
  base::UniqueFd target_;
  std::unique_ptr<Unpacking> unpacking_;
  absl::StatusOr<UnpackReport> report_ =
      absl::InternalError("nothing was unpacked");
};

LayerFetch::LayerFetch(LocalImageStore* store, LayerWanted wanted)
    : store_(store),
      wanted_(std::move(wanted)),
      file_(store->TemporaryName("blob")) {}

LayerFetch::~LayerFetch() {
  // What Run() wrote on its thread, it wrote before it let go of the lock:
  // tools see that order, where counts of references may hide from them.
  const base::MutexLock lock(&mutex_);
  unlinkat(store_->root(), file_.c_str(), 0);  // else: of the next start
}

bool LayerFetch::Join() {
  const base::MutexLock lock(&mutex_);
  if (left_) return false;
  ++pulls_;
  return true;
}

void LayerFetch::Leave() {
  {
    const base::MutexLock lock(&mutex_);
    if (--pulls_ > 0) return;
    left_ = true;
    lease_ = nullptr;
  }
  stop_.request_stop();
}

base::Deadline LayerFetch::deadline() const {
  return over_.CancelledBy(stop_.get_token());
}

absl::Duration LayerFetch::Patience() const {
  constexpr double kSlowest = 16 * 1024;  // bytes a second
  return absl::Minutes(10) +
         absl::Seconds(static_cast<double>(wanted_.blob.size) / kSlowest);
}

absl::Status LayerFetch::Fetch(registry::Pull* pull, Sink* sink) {
  return pull->FetchBlob(wanted_.blob.digest, wanted_.blob.size, sink,
                         deadline());
}

absl::StatusOr<UnpackReport> LayerFetch::FetchAndUnpack(
    registry::Pull* pull, const std::string& directory) {
  ASSIGN_OR_RETURN(
      const base::UniqueFd file,
      base::OpenAt(store_->root(), file_, O_WRONLY | O_CREAT | O_EXCL, 0600));
  Sink sink(this, file.get(), directory);
  RETURN_IF_ERROR(Fetch(pull, &sink));
  return sink.report();
}

absl::Status LayerFetch::FetchAlone(registry::Pull* pull) {
  ASSIGN_OR_RETURN(
      const base::UniqueFd file,
      base::OpenAt(store_->root(), file_, O_WRONLY | O_CREAT | O_EXCL, 0600));
  Sink sink(this, file.get(), "");
  return Fetch(pull, &sink);
}

absl::StatusOr<std::shared_ptr<LayerLease>> LayerFetch::Work(
    registry::Pull* pull) {
  state_ = LayerProgress::State::kFetching;
  bool fetched = false;
  ASSIGN_OR_RETURN(
      std::shared_ptr<LayerLease> lease,
      store_->layers().EnsureStreamed(wanted_.diff_id, wanted_.blob.digest,
                                      [&](const std::string& directory) {
                                        fetched = true;
                                        return FetchAndUnpack(pull, directory);
                                      }));
  if (!fetched) {
    // Unpacked before, with this blob: an image that has it may be here.
    ASSIGN_OR_RETURN(const bool linked,
                     store_->LinkBlob(wanted_.blob.digest, file_));
    if (!linked) RETURN_IF_ERROR(FetchAlone(pull));
    struct stat st;
    if (linked && fstatat(store_->root(), file_.c_str(), &st, 0) != 0) {
      return base::ErrnoError(errno, "look at a blob");
    }
    if (linked && static_cast<uint64_t>(st.st_size) != wanted_.blob.size) {
      return absl::InvalidArgumentError(
          absl::StrCat("layer ", wanted_.blob.digest.ToString(),
                       " has not the size that its descriptor states"));
    }
  }
  fetched_ = wanted_.blob.size;
  return lease;
}

void LayerFetch::Run(registry::Pull* pull) {
  over_ = base::Deadline::After(Patience());
  auto lease = Work(pull);
  if (absl::IsDeadlineExceeded(lease.status())) {
    lease = absl::UnavailableError(absl::StrCat(
        "layer ", wanted_.blob.digest.ToString(), " was not there after ",
        absl::FormatDuration(Patience()), ": ", lease.status().message()));
  }
  {
    const base::MutexLock lock(&mutex_);
    end_ = lease.status();
    if (lease.ok()) state_ = LayerProgress::State::kDone;
    if (lease.ok() && !left_) {
      lease_ = *std::move(lease);
      return;
    }
  }
  // A layer that nobody waits for any more.
  lease = nullptr;
  store_->layers().Sweep().IgnoreError();  // else: with the next change
}

std::optional<absl::Status> LayerFetch::end() const {
  const base::MutexLock lock(&mutex_);
  return end_;
}

absl::Status LayerFetch::LinkBlob(int session) const {
  if (linkat(store_->root(), file_.c_str(), session,
             wanted_.blob.digest.hex().c_str(), 0) != 0 &&
      errno != EEXIST) {  // a layer that comes twice
    return base::ErrnoError(errno, "take over the blob of a layer");
  }
  return absl::OkStatus();
}

std::shared_ptr<LayerLease> LayerFetch::lease() const {
  const base::MutexLock lock(&mutex_);
  return lease_;
}

LayerProgress LayerFetch::progress() const {
  return {wanted_.blob.digest.ToString(), wanted_.blob.size, fetched_, state_};
}

}  // namespace warren::image
