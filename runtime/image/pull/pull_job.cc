#include "runtime/image/pull/pull_job.h"

#include <utility>

namespace warren::image {

bool PullJob::Join() {
  const base::MutexLock lock(&mutex_);
  if (left_) return false;
  ++callers_;
  return true;
}

void PullJob::Leave() {
  {
    const base::MutexLock lock(&mutex_);
    if (--callers_ > 0) return;
    left_ = true;
  }
  stop_.request_stop();
}

void PullJob::SetLayers(std::vector<LayerProgress> layers) {
  const base::MutexLock lock(&mutex_);
  layers_ = std::move(layers);
  fetches_.resize(layers_.size());
}

void PullJob::SetFetch(size_t layer, std::shared_ptr<LayerFetch> fetch) {
  const base::MutexLock lock(&mutex_);
  fetches_[layer] = std::move(fetch);
}

void PullJob::Finish(Result result) {
  const base::MutexLock lock(&mutex_);
  result_ = std::move(result);
  // The files of the layers go, however long a caller keeps his ticket.
  layers_ = ProgressLocked().layers;
  fetches_.assign(layers_.size(), nullptr);
  for (auto& [number, wake] : watches_) wake();
  watches_.clear();
}

std::optional<PullJob::Result> PullJob::result() const {
  const base::MutexLock lock(&mutex_);
  return result_;
}

PullProgress PullJob::progress() const {
  const base::MutexLock lock(&mutex_);
  return ProgressLocked();
}

PullProgress PullJob::ProgressLocked() const {
  PullProgress progress;
  for (size_t i = 0; i < layers_.size(); ++i) {
    progress.layers.push_back(fetches_[i] == nullptr ? layers_[i]
                                                     : fetches_[i]->progress());
  }
  return progress;
}

uint64_t PullJob::Watch(std::function<void()> wake) {
  const base::MutexLock lock(&mutex_);
  const uint64_t watch = ++last_watch_;
  if (result_.has_value()) {
    wake();
  } else {
    watches_[watch] = std::move(wake);
  }
  return watch;
}

void PullJob::Unwatch(uint64_t watch) {
  const base::MutexLock lock(&mutex_);
  watches_.erase(watch);
}

}  // namespace warren::image
