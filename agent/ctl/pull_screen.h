#ifndef WARREN_AGENT_CTL_PULL_SCREEN_H_
#define WARREN_AGENT_CTL_PULL_SCREEN_H_

#include <absl/time/time.h>

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "warren/node/v1/node.pb.h"

namespace warren::agent::ctl {

// How far a pull is, for a person: on a terminal one line for each layer, drawn
// again with each message; otherwise one plain line whenever the state of a
// layer changes. Single-threaded.
class PullScreen {
 public:
  // `out` is borrowed.
  PullScreen(std::ostream* out, bool terminal)
      : out_(*out), terminal_(terminal) {}

  // `now` of any clock that does not jump: it gives the speed.
  void Show(const ::warren::node::v1::PullImageProgress& progress,
            absl::Duration now);

 private:
  struct Layer {
    uint64_t fetched = 0;
    double speed = 0;  // bytes a second, smoothed
    int state = -1;    // as last shown
  };

  std::string Line(const ::warren::node::v1::LayerProgress& layer,
                   double speed) const;
  void NoteSpeeds(const ::warren::node::v1::PullImageProgress& progress,
                  absl::Duration now);

  std::ostream& out_;
  const bool terminal_;
  std::vector<Layer> layers_;
  int drawn_ = 0;  // lines that stand above the cursor
  absl::Duration last_ = absl::ZeroDuration();
};

}  // namespace warren::agent::ctl

#endif  // WARREN_AGENT_CTL_PULL_SCREEN_H_
