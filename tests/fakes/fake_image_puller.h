#ifndef WARREN_TESTS_FAKES_FAKE_IMAGE_PULLER_H_
#define WARREN_TESTS_FAKES_FAKE_IMAGE_PULLER_H_

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/image/pull/image_puller.h"

namespace warren::test {

// ImagePuller whose pulls end when the test says so. Thread-safe.
class FakeImagePuller : public image::ImagePuller {
 public:
  using Result = absl::StatusOr<std::shared_ptr<const image::Image>>;

  absl::StatusOr<std::unique_ptr<image::PullTicket>> Begin(
      const image::PullRequest& request) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    requests_.push_back(request);
    if (!refusal_.ok()) return refusal_;
    ++tickets_;
    return std::make_unique<Ticket>(this);
  }

  // Ends the pulls under way and all later ones.
  void Finish(Result result) {
    const std::lock_guard<std::mutex> lock(mutex_);
    result_ = std::move(result);
    for (const auto& wake : watches_) {
      if (wake) wake();
    }
  }
  void Report(image::PullProgress progress) {
    const std::lock_guard<std::mutex> lock(mutex_);
    progress_ = std::move(progress);
  }
  // What Begin answers from now on.
  void Refuse(absl::Status status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    refusal_ = std::move(status);
  }

  std::vector<image::PullRequest> requests() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return requests_;
  }
  // Callers who wait.
  int tickets() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return tickets_;
  }

 private:
  class Ticket : public image::PullTicket {
   public:
    explicit Ticket(FakeImagePuller* puller) : puller_(*puller) {}
    ~Ticket() override {
      const std::lock_guard<std::mutex> lock(puller_.mutex_);
      --puller_.tickets_;
    }
    bool done() const override {
      const std::lock_guard<std::mutex> lock(puller_.mutex_);
      return puller_.result_.has_value();
    }
    Result result() const override {
      const std::lock_guard<std::mutex> lock(puller_.mutex_);
      return puller_.result_.value_or(absl::InternalError("under way"));
    }
    image::PullProgress progress() const override {
      const std::lock_guard<std::mutex> lock(puller_.mutex_);
      return puller_.progress_;
    }
    std::function<void()> Watch(std::function<void()> wake) override {
      const std::lock_guard<std::mutex> lock(puller_.mutex_);
      if (puller_.result_.has_value()) wake();
      puller_.watches_.push_back(std::move(wake));
      return [&puller = puller_, at = puller_.watches_.size() - 1] {
        const std::lock_guard<std::mutex> held(puller.mutex_);
        puller.watches_[at] = nullptr;
      };
    }

   private:
    FakeImagePuller& puller_;
  };

  mutable std::mutex mutex_;
  absl::Status refusal_;
  std::optional<Result> result_;
  image::PullProgress progress_;
  std::vector<image::PullRequest> requests_;
  std::vector<std::function<void()>> watches_;
  int tickets_ = 0;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_FAKES_FAKE_IMAGE_PULLER_H_
