#ifndef WARREN_TESTS_FAKES_LIVING_NODE_H_
#define WARREN_TESTS_FAKES_LIVING_NODE_H_

#include <absl/base/thread_annotations.h>
#include <absl/strings/string_view.h>
#include <absl/synchronization/mutex.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/pods/reconcile_loop.h"
#include "agent/pods/reconciler.h"
#include "tests/fakes/core_node.h"

namespace warren::test {

// Ends when it is true, and only then.
template <typename Condition>
void Await(const Condition& condition) {
  while (!condition()) std::this_thread::yield();
}

// An agent that has adopted, with what it says to its log. Thread-safe where
// its parts are.
class LivingNode {
 public:
  explicit LivingNode(std::unique_ptr<CoreNode> node)
      : node_(std::move(node)),
        reconciler_(&node_->runtime, &node_->network, &node_->images,
                    node_->store.get(), node_->sandboxes.get(),
                    node_->containers.get(), &node_->clock) {
    node_->store->SetProblemSink([this](absl::string_view problem) {
      absl::MutexLock lock(&mutex_);
      problems_.emplace_back(problem);
    });
    const auto report = reconciler_.Adopt();
    EXPECT_TRUE(report.ok()) << report.status();
  }

  // As after the start: the first scan.
  void Begin() {
    loop_ = std::make_unique<agent::ReconcileLoop>(
        &reconciler_, node_->store.get(), node_->containers->reconcile(),
        [this](absl::string_view note) {
          absl::MutexLock lock(&mutex_);
          notes_.emplace_back(note);
        });
  }

  CoreNode* operator->() { return node_.get(); }
  CoreNode* get() { return node_.get(); }
  agent::ReconcileLoop& loop() { return *loop_; }
  std::vector<std::string> told() {
    absl::MutexLock lock(&mutex_);
    return problems_;
  }
  std::vector<std::string> notes() {
    absl::MutexLock lock(&mutex_);
    return notes_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> problems_, notes_;
  std::unique_ptr<CoreNode> node_;
  agent::Reconciler reconciler_;
  std::unique_ptr<agent::ReconcileLoop> loop_;
};

}  // namespace warren::test

namespace warren::agent {
using test::Await;
using test::LivingNode;
}  // namespace warren::agent

#endif  // WARREN_TESTS_FAKES_LIVING_NODE_H_
