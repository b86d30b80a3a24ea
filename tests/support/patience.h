#ifndef WARREN_TESTS_SUPPORT_PATIENCE_H_
#define WARREN_TESTS_SUPPORT_PATIENCE_H_

#include <absl/time/time.h>

#include <functional>

// How long tests wait. What should happen is awaited, so that its limit is
// reached by a failing test only: it says that something never happens, not
// that it is slow. Thread-safe.
namespace warren::test {

// How long a test waits for what takes less than `patience` on an ordinary
// machine that has nothing else to do: four times as long, as another machine
// may be slower and busy; so many times as long as WARREN_TEST_SLOWNESS says
// when it is set (tests/vm sets it). Also for an upper limit of how long
// something took: choose `patience` so that what it must not be (a sleep of
// the test's own, say) takes longer than that.
absl::Duration Patience(absl::Duration patience);

// Polls `done` until it is true or Patience(patience) is over; returns done().
bool Eventually(const std::function<bool()>& done,
                absl::Duration patience = absl::Seconds(10));

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_PATIENCE_H_
