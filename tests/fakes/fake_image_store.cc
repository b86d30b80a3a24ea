#include "tests/fakes/fake_image_store.h"

#include <algorithm>
#include <utility>

#include "runtime/base/status.h"

namespace warren::test {

class FakeImageStore::Hold_ : public image::ImageHold {
 public:
  Hold_(FakeImageStore* store, std::shared_ptr<const image::Image> image)
      : store_(store), image_(std::move(image)) {
    const std::lock_guard<std::mutex> lock(store_->mutex_);
    ++store_->holds_;
    for (const std::string& dir : image_->layer_dirs) {
      store_->held_layers_.insert(dir);
    }
  }
  ~Hold_() override {
    const std::lock_guard<std::mutex> lock(store_->mutex_);
    --store_->holds_;
    for (const std::string& dir : image_->layer_dirs) {
      store_->held_layers_.erase(store_->held_layers_.find(dir));
    }
  }
  const image::Image& image() const override { return *image_; }

 private:
  FakeImageStore* const store_;
  const std::shared_ptr<const image::Image> image_;
};

FakeImageStore::FakeImageStore(Faults* faults) : faults_(faults) {}

void FakeImageStore::Add(image::Image image) {
  const std::lock_guard<std::mutex> lock(mutex_);
  known_layers_.insert(image.layer_dirs.begin(), image.layer_dirs.end());
  const std::string id = image.id;
  images_[id] = std::make_shared<const image::Image>(std::move(image));
}

int FakeImageStore::holds() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return holds_;
}

std::set<std::string> FakeImageStore::collected() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return collected_;
}

absl::StatusOr<std::shared_ptr<const image::Image>> FakeImageStore::Find(
    absl::string_view reference) {
  RETURN_IF_ERROR(faults_->Before("Images.Find"));
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string name(reference);
  for (const auto& [id, image] : images_) {
    const auto has = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (id == name || has(image->repo_tags) || has(image->repo_digests)) {
      return image;
    }
  }
  return absl::NotFoundError("no such image");
}

std::vector<std::shared_ptr<const image::Image>> FakeImageStore::List() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::shared_ptr<const image::Image>> images;
  for (const auto& [id, image] : images_) images.push_back(image);
  return images;
}

std::shared_ptr<image::ImageHold> FakeImageStore::NewHold(
    std::shared_ptr<const image::Image> image) {
  return std::make_shared<Hold_>(this, std::move(image));
}

absl::StatusOr<std::shared_ptr<image::ImageHold>> FakeImageStore::Hold(
    absl::string_view reference) {
  RETURN_IF_ERROR(faults_->Before("Images.Hold"));
  ASSIGN_OR_RETURN(auto image, Find(reference));
  return NewHold(std::move(image));
}

absl::StatusOr<std::shared_ptr<image::ImageHold>> FakeImageStore::Rehold(
    const std::string& image_id, const std::vector<std::string>& layer_dirs) {
  RETURN_IF_ERROR(faults_->Before("Images.Rehold"));
  image::Image image;
  image.id = image_id;
  image.layer_dirs = layer_dirs;
  return NewHold(std::make_shared<const image::Image>(std::move(image)));
}

absl::Status FakeImageStore::Remove(absl::string_view reference) {
  RETURN_IF_ERROR(faults_->Before("Images.Remove"));
  auto image = Find(reference);
  if (!image.ok()) return absl::OkStatus();
  const std::lock_guard<std::mutex> lock(mutex_);
  images_.erase((*image)->id);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<image::ImportSession>>
FakeImageStore::BeginImport(const std::string&, bool) {
  return absl::UnimplementedError("images are added by the test");
}

absl::StatusOr<image::FsUsage> FakeImageStore::Usage() {
  return image::FsUsage{"/", 4096, 7};
}

absl::Status FakeImageStore::CollectGarbage() {
  RETURN_IF_ERROR(faults_->Before("Images.CollectGarbage"));
  const std::lock_guard<std::mutex> lock(mutex_);
  if (held_back_) return absl::UnavailableError("held back");
  std::set<std::string> needed(held_layers_.begin(), held_layers_.end());
  for (const auto& [id, image] : images_) {
    needed.insert(image->layer_dirs.begin(), image->layer_dirs.end());
  }
  for (const std::string& layer : known_layers_) {
    if (needed.count(layer) == 0) collected_.insert(layer);
  }
  return absl::OkStatus();
}

void FakeImageStore::HoldBack(bool held_back) {
  const std::lock_guard<std::mutex> lock(mutex_);
  held_back_ = held_back;
}

image::Image TestImage() {
  image::Image image;
  image.id = "sha256:" + std::string(64, 'a');
  image.repo_tags = {"docker.io/library/app:1"};
  image.repo_digests = {"docker.io/library/app@sha256:" + std::string(64, 'b')};
  image.size_bytes = 1000;
  image.config.entrypoint = {"/bin/app"};
  image.config.env = {"LANG=C"};
  image.config.user = "7:8";
  image.config_json = "{\"architecture\":\"amd64\"}";
  image.chain_id = "sha256:" + std::string(64, 'c');
  image.layer_dirs = {"/layers/1"};
  return image;
}

}  // namespace warren::test
