#ifndef WARREN_TESTS_FAKES_FAULTS_H_
#define WARREN_TESTS_FAKES_FAULTS_H_

#include <absl/base/thread_annotations.h>
#include <absl/status/status.h>
#include <absl/synchronization/mutex.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace warren::test {

// What the fakes of one node have in common: a log of the calls they got, and
// failures to order. Steps are named "Runtime.CreateSandbox". Thread-safe.
class Faults {
 public:
  // The next `times` calls of `step` fail, without any effect.
  void Fail(const std::string& step, int times = 1);
  void Heal();  // forget all orders

  // For the fakes: books the call; the ordered error.
  absl::Status Before(const std::string& step);
  // For the fakes: the effect has happened. Calls the observer.
  void After(const std::string& step);

  // Called after each effect, from the thread that made it. Set while nothing
  // runs.
  void Observe(std::function<void(const std::string&)> observer);

  std::vector<std::string> calls() const;
  int Count(const std::string& step) const;
  void ClearCalls();

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, int> orders_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  std::function<void(const std::string&)> observer_;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_FAKES_FAULTS_H_
