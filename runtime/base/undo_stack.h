#ifndef WARREN_RUNTIME_BASE_UNDO_STACK_H_
#define WARREN_RUNTIME_BASE_UNDO_STACK_H_

#include <absl/status/status.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/status.h"

namespace warren::base {

// Named undo steps of a multi-step set-up. Push one right after each effect;
// Release() when all is done. If the stack dies armed, the steps run in
// reverse order and their errors are dropped (reconcile finds what is left);
// call Unwind() instead to see them. Thread-compatible.
class UndoStack {
 public:
  UndoStack() = default;
  UndoStack(const UndoStack&) = delete;
  UndoStack& operator=(const UndoStack&) = delete;
  ~UndoStack() { Unwind().IgnoreError(); }

  void Push(std::string name, std::function<absl::Status()> undo) {
    steps_.emplace_back(std::move(name), std::move(undo));
  }

  // Runs every step, newest first, each exactly once, whatever the others
  // say. Returns the first error, with the step's name in front.
  absl::Status Unwind() {
    absl::Status result;
    while (!steps_.empty()) {
      auto [name, undo] = std::move(steps_.back());
      steps_.pop_back();
      Update(&result, Annotate(undo(), name));
    }
    return result;
  }

  // The set-up is complete: forget all steps.
  void Release() { steps_.clear(); }

 private:
  std::vector<std::pair<std::string, std::function<absl::Status()>>> steps_;
};

}  // namespace warren::base

#endif  // WARREN_RUNTIME_BASE_UNDO_STACK_H_
