#ifndef WARREN_TESTS_FAKES_FAKE_IMAGE_STORE_H_
#define WARREN_TESTS_FAKES_FAKE_IMAGE_STORE_H_

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "runtime/image/image_store.h"
#include "tests/fakes/faults.h"

namespace warren::test {

// Images are added by tests, found by id or tag. `layers` outlive the agent:
// a layer stays until neither an image nor a hold needs it and garbage is
// collected. Thread-safe.
class FakeImageStore : public image::ImageStore {
 public:
  explicit FakeImageStore(Faults* faults);

  // ---- For tests ----
  void Add(image::Image image);
  int holds() const;
  // Layer directories that garbage collection found unneeded so far.
  std::set<std::string> collected() const;

  // ---- ImageStore ----
  absl::StatusOr<std::shared_ptr<const image::Image>> Find(
      absl::string_view reference) override;
  std::vector<std::shared_ptr<const image::Image>> List() override;
  absl::StatusOr<std::shared_ptr<image::ImageHold>> Hold(
      absl::string_view reference) override;
  absl::StatusOr<std::shared_ptr<image::ImageHold>> Rehold(
      const std::string& image_id,
      const std::vector<std::string>& layer_dirs) override;
  absl::Status Remove(absl::string_view reference) override;
  absl::StatusOr<std::unique_ptr<image::ImportSession>> BeginImport(
      const std::string& reference, bool pinned) override;
  absl::StatusOr<image::FsUsage> Usage() override;
  absl::Status CollectGarbage() override;
  void HoldBack(bool held_back) override;
  std::vector<std::string> Problems() override { return {}; }

 private:
  class Hold_;

  std::shared_ptr<image::ImageHold> NewHold(
      std::shared_ptr<const image::Image> image);

  Faults* const faults_;
  mutable std::mutex mutex_;  // guards all below
  std::map<std::string, std::shared_ptr<const image::Image>> images_;
  std::multiset<std::string> held_layers_;
  std::set<std::string> known_layers_, collected_;
  int holds_ = 0;
  bool held_back_ = false;
};

// A static image with one layer: id "sha256:aa…", tag
// "docker.io/library/app:1", entrypoint /bin/app.
image::Image TestImage();

}  // namespace warren::test

#endif  // WARREN_TESTS_FAKES_FAKE_IMAGE_STORE_H_
