#include "runtime/image/layer_store.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/base/tree_cursor.h"
#include "runtime/image/unpack_protocol.h"

namespace warren::image {
namespace {

std::string LayerPath(const Digest& diff_id) {
  return absl::StrCat("layers/", diff_id.hex());
}

// Blocks and inodes of a directory that root made, no symlink followed.
absl::StatusOr<LayerSize> Measure(base::UniqueFd layer) {
  LayerSize size;
  RETURN_IF_ERROR(base::WalkTree(
      std::move(layer), base::TreeCursor::Place::kFiles,
      base::Deadline::Never(),
      [&size](const base::TreeCursor& cursor,
              const base::TreeCursor::Entry& entry) -> absl::StatusOr<bool> {
        struct stat st;
        if (fstatat(cursor.directory(), entry.name, &st, AT_SYMLINK_NOFOLLOW) !=
            0) {
          return base::ErrnoError(errno, "stat");
        }
        size.bytes += static_cast<uint64_t>(st.st_blocks) * 512;
        ++size.inodes;
        return S_ISDIR(st.st_mode);
      }));
  return size;
}

}  // namespace

LayerLease::~LayerLease() { store_->Release(diff_id_); }

std::shared_ptr<LayerLease> LayerStore::LeaseLocked(const Digest& diff_id) {
  ++layers_[diff_id].leases;
  return std::make_shared<LayerLease>(shared_from_this(), diff_id);
}

void LayerStore::Release(const Digest& diff_id) {
  const base::MutexLock lock(&mutex_);
  --layers_[diff_id].leases;
}

std::string LayerStore::TemporaryName() {
  static std::atomic<uint64_t> serial{0};
  return absl::StrCat(tmp_, "/layer-", serial.fetch_add(1));
}

bool LayerStore::BeginFill(const Digest& id,
                           absl::FunctionRef<bool(const Layer&)> is_whole,
                           bool alone, std::shared_ptr<LayerLease>* lease) {
  const base::MutexLock lock(&mutex_);
  Layer& layer = layers_[id];
  // Sweep leaves the entry alone until EndFill().
  ++layer.leases;
  while (true) {
    if (layer.known && is_whole(layer)) {
      --layer.leases;
      *lease = LeaseLocked(id);
      return false;
    }
    if (!alone) return true;
    if (!layer.busy) break;
    idle_.Wait(&mutex_, base::Deadline::Never());
  }
  layer.busy = true;
  return true;
}

absl::StatusOr<std::shared_ptr<LayerLease>> LayerStore::EndFill(
    const Digest& id, const std::string& name, bool alone,
    const absl::StatusOr<LayerSize>& filled,
    absl::FunctionRef<absl::Status(Layer*)> note) {
  absl::Status status = filled.status();
  std::shared_ptr<LayerLease> lease;
  {
    const base::MutexLock lock(&mutex_);
    Layer& layer = layers_[id];
    --layer.leases;
    if (alone) {
      layer.busy = false;
      idle_.NotifyAll();
    }
    if (status.ok()) status = note(&layer);
    if (status.ok() && !layer.known) {
      status = Install(name, id, layer.pinned);
    }
    if (status.ok()) {
      layer.known = true;
      if (!layer.size.has_value()) layer.size = *filled;
      lease = LeaseLocked(id);
    } else if (!layer.known && !layer.busy && layer.leases == 0) {
      layers_.erase(id);
      base::Update(&status, leanings_.Remove(id));
    }
  }
  // A no-op after a rename.
  base::Update(&status, base::RemoveTree(root_, name));
  if (!status.ok()) return status;
  return lease;
}

absl::StatusOr<base::UniqueFd> LayerStore::MakeTemporary(
    const std::string& name) const {
  if (mkdirat(root_, name.c_str(), 0700) != 0) {
    return base::ErrnoError(errno, "make a temporary directory");
  }
  return base::OpenAt(root_, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

absl::StatusOr<std::shared_ptr<LayerLease>> LayerStore::Ensure(
    const Digest& diff_id, const Digest& blob_digest, int blob,
    Compression compression, uint64_t max_entries) {
  return Unpacked(
      diff_id, blob_digest, /*alone=*/true,
      [&](const std::string& name) -> absl::StatusOr<UnpackReport> {
        ASSIGN_OR_RETURN(const base::UniqueFd target, MakeTemporary(name));
        return unpacker_->Unpack(blob, compression, target.get(), max_entries);
      });
}

absl::StatusOr<std::shared_ptr<LayerLease>> LayerStore::EnsureStreamed(
    const Digest& diff_id, const Digest& blob_digest, UnpackInto unpack) {
  return Unpacked(diff_id, blob_digest, /*alone=*/false, unpack);
}

absl::StatusOr<std::shared_ptr<LayerLease>> LayerStore::Unpacked(
    const Digest& diff_id, const Digest& blob_digest, bool alone,
    UnpackInto unpack) {
  const auto is_whole = [&blob_digest](const Layer& layer) {
    return layer.noted && layer.verified_blobs.count(blob_digest) > 0;
  };
  std::shared_ptr<LayerLease> known;
  if (!BeginFill(diff_id, is_whole, alone, &known)) return known;
  const std::string name = TemporaryName();
  Leanings leanings;
  const auto size = [&]() -> absl::StatusOr<LayerSize> {
    ASSIGN_OR_RETURN(UnpackReport report, unpack(name));
    if (report.diff_id != diff_id) {
      return absl::InvalidArgumentError(
          absl::StrCat("the layer is ", report.diff_id.ToString(),
                       " when unpacked, not the diff ID of the configuration"));
    }
    leanings = std::move(report.leanings);
    return report.size;
  };
  const auto note = [&](Layer* layer) -> absl::Status {
    // Those of a layer that images have already must not be lost to a power
    // cut: nothing syncs them before they are believed.
    if (!layer->noted) {
      RETURN_IF_ERROR(leanings_.Write(diff_id, leanings, layer->known));
    }
    layer->noted = true;
    layer->verified_blobs.insert(blob_digest);
    return absl::OkStatus();
  };
  return EndFill(diff_id, name, alone, size(), note);
}

absl::StatusOr<std::shared_ptr<LayerLease>> LayerStore::EnsureMade(
    const Digest& id,
    absl::FunctionRef<absl::StatusOr<LayerSize>(int directory)> make) {
  const auto is_whole = [](const Layer&) { return true; };
  std::shared_ptr<LayerLease> known;
  if (!BeginFill(id, is_whole, /*alone=*/true, &known)) return known;
  const std::string name = TemporaryName();
  const auto fill = [&]() -> absl::StatusOr<LayerSize> {
    ASSIGN_OR_RETURN(const base::UniqueFd target, MakeTemporary(name));
    return make(target.get());
  };
  const auto note = [](Layer*) { return absl::OkStatus(); };
  return EndFill(id, name, /*alone=*/true, fill(), note);
}

absl::StatusOr<StackedLayer> LayerStore::Open(const Digest& diff_id) {
  StackedLayer layer;
  ASSIGN_OR_RETURN(layer.directory,
                   base::OpenAt(root_, LayerPath(diff_id),
                                O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  auto leanings = leanings_.Read(diff_id);
  if (!leanings.ok()) {
    const base::MutexLock lock(&mutex_);
    layers_[diff_id].noted = false;
    return absl::UnavailableError(
        absl::StrCat(leanings.status().message(), "; import the image again"));
  }
  layer.leanings = std::make_shared<const Leanings>(*std::move(leanings));
  return layer;
}

// Puts a verified directory in its place; one that is there is what a crash
// left, since the layer is not known.
absl::Status LayerStore::Install(const std::string& name, const Digest& diff_id,
                                 bool keep_existing) {
  const std::string path = LayerPath(diff_id);
  for (int attempt = 0;; ++attempt) {
    if (renameat2(root_, name.c_str(), root_, path.c_str(), RENAME_NOREPLACE) ==
        0) {
      return absl::OkStatus();
    }
    if (errno == EEXIST && keep_existing) return absl::OkStatus();
    if (errno != EEXIST || attempt > 0) {
      return base::ErrnoError(errno, "move the layer to its place");
    }
    RETURN_IF_ERROR(Discard(diff_id.hex(), TemporaryName()));
  }
}

absl::Status LayerStore::Discard(const std::string& hex,
                                 const std::string& name) {
  if (renameat(root_, absl::StrCat("layers/", hex).c_str(), root_,
               name.c_str()) != 0) {
    return errno == ENOENT ? absl::OkStatus()
                           : base::ErrnoError(errno, "set a layer aside");
  }
  return base::RemoveTree(root_, name);
}

absl::StatusOr<std::shared_ptr<LayerLease>> LayerStore::Claim(
    const Digest& diff_id, std::optional<LayerSize> size,
    const std::vector<Digest>& verified_blobs) {
  const base::MutexLock lock(&mutex_);
  const auto directory = base::OpenAt(root_, LayerPath(diff_id),
                                      O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (!directory.ok()) {
    if (base::GetErrno(directory.status()) != ENOENT) return directory.status();
    return absl::NotFoundError(
        absl::StrCat("layer ", diff_id.ToString(), " is not on disk"));
  }
  Layer& layer = layers_[diff_id];
  layer.known = true;
  layer.noted = layer.noted || leanings_.Has(diff_id);
  if (!layer.size.has_value()) layer.size = size;
  layer.verified_blobs.insert(verified_blobs.begin(), verified_blobs.end());
  return LeaseLocked(diff_id);
}

std::shared_ptr<LayerLease> LayerStore::Pin(const Digest& diff_id) {
  const base::MutexLock lock(&mutex_);
  layers_[diff_id].pinned = true;
  return LeaseLocked(diff_id);
}

void LayerStore::HoldBack(bool held_back) {
  const base::MutexLock lock(&mutex_);
  held_back_ = held_back;
}

LayerSize LayerStore::SizeOf(const Digest& diff_id) const {
  const base::MutexLock lock(&mutex_);
  const auto it = layers_.find(diff_id);
  if (it == layers_.end()) return LayerSize();
  return it->second.size.value_or(LayerSize());
}

absl::StatusOr<bool> LayerStore::IsOpaque(const Digest& diff_id) const {
  ASSIGN_OR_RETURN(const base::UniqueFd directory,
                   base::OpenAt(root_, LayerPath(diff_id),
                                O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  char value = 0;
  const ssize_t size = fgetxattr(directory.get(), kOpaqueXattr, &value, 1);
  if (size >= 0) return size == 1 && value == 'y';
  // No such attribute, none on this file system, or a longer value.
  if (errno == ENODATA || errno == EOPNOTSUPP || errno == ERANGE) return false;
  return base::ErrnoError(errno, "look whether a layer is opaque");
}

LayerSize LayerStore::Usage() {
  std::vector<Digest> unmeasured;
  LayerSize sum;
  {
    const base::MutexLock lock(&mutex_);
    for (const auto& [diff_id, layer] : layers_) {
      if (!layer.known) continue;
      if (!layer.size.has_value()) unmeasured.push_back(diff_id);
      sum.bytes += layer.size.value_or(LayerSize()).bytes;
      sum.inodes += layer.size.value_or(LayerSize()).inodes;
    }
  }
  for (const Digest& diff_id : unmeasured) {
    auto directory = base::OpenAt(root_, LayerPath(diff_id),
                                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    // lint: allow absence: measured with the next call
    if (!directory.ok()) continue;
    const auto size = Measure(*std::move(directory));
    // lint: allow absence: as above
    if (!size.ok()) continue;
    sum.bytes += size->bytes;
    sum.inodes += size->inodes;
    const base::MutexLock lock(&mutex_);
    if (const auto it = layers_.find(diff_id); it != layers_.end()) {
      it->second.size = *size;
    }
  }
  return sum;
}

absl::Status LayerStore::Sweep() {
  std::vector<std::string> aside;
  absl::Status result;
  {
    const base::MutexLock lock(&mutex_);
    if (held_back_) return absl::OkStatus();
    for (auto it = layers_.begin(); it != layers_.end();) {
      const Layer& layer = it->second;
      if (!layer.known || layer.busy || layer.leases > 0) {
        ++it;
        continue;
      }
      // Renamed under the lock, so that no caller sees it half deleted.
      const std::string name = TemporaryName();
      if (renameat(root_, LayerPath(it->first).c_str(), root_, name.c_str()) ==
          0) {
        aside.push_back(name);
      } else if (errno != ENOENT) {
        base::Update(&result, base::ErrnoError(errno, "set a layer aside"));
      }
      base::Update(&result, leanings_.Remove(it->first));
      it = layers_.erase(it);
    }
  }
  for (const std::string& name : aside) {
    base::Update(&result, base::RemoveTree(root_, name));
  }
  return result;
}

absl::Status LayerStore::SweepUnknown() {
  ASSIGN_OR_RETURN(const auto names, base::ListDir(root_, "layers"));
  absl::Status result;
  std::vector<std::string> aside;
  {
    const base::MutexLock lock(&mutex_);
    if (held_back_) return absl::OkStatus();
    for (const std::string& name : names) {
      const auto diff_id = Digest::FromHex(name);
      if (diff_id.ok() && layers_.count(*diff_id) > 0) continue;
      const std::string temporary = TemporaryName();
      if (renameat(root_, absl::StrCat("layers/", name).c_str(), root_,
                   temporary.c_str()) == 0) {
        aside.push_back(temporary);
      } else if (errno != ENOENT) {
        base::Update(&result, base::ErrnoError(errno, "set a layer aside"));
      }
    }
    std::set<Digest> known;
    for (const auto& [diff_id, layer] : layers_) known.insert(diff_id);
    base::Update(&result, leanings_.RemoveExcept(known));
  }
  for (const std::string& name : aside) {
    base::Update(&result, base::RemoveTree(root_, name));
  }
  return result;
}

}  // namespace warren::image
