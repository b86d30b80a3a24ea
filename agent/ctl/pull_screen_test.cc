#include "agent/ctl/pull_screen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace warren::agent::ctl {
namespace {

using ::warren::node::v1::LayerProgress;
using ::warren::node::v1::PullImageProgress;

void Add(PullImageProgress* progress, const char* digest, uint64_t fetched,
         LayerProgress::State state) {
  LayerProgress* layer = progress->add_layers();
  layer->set_digest(digest);
  layer->set_size(2048);
  layer->set_fetched(fetched);
  layer->set_state(state);
}

TEST(PullScreenTest, ATerminalShowsALineForEachLayerAndDrawsItAgain) {
  std::ostringstream out;
  PullScreen screen(&out, /*terminal=*/true);
  PullImageProgress first;
  Add(&first, "sha256:0123456789abcdef", 0, LayerProgress::FETCHING);
  Add(&first, "sha256:fedcba9876543210", 0, LayerProgress::WAITING);
  screen.Show(first, absl::Seconds(1));
  EXPECT_EQ(out.str(),
            "0123456789ab  fetching   0 B of 2.0 KiB  0%\x1b[K\n"
            "fedcba987654  waiting    2.0 KiB\x1b[K\n");
  out.str("");
  PullImageProgress second;
  Add(&second, "sha256:0123456789abcdef", 1024, LayerProgress::FETCHING);
  Add(&second, "sha256:fedcba9876543210", 2048, LayerProgress::DONE);
  screen.Show(second, absl::Seconds(2));
  EXPECT_EQ(out.str(),
            "\x1b[2A"
            "0123456789ab  fetching   1.0 KiB of 2.0 KiB  50%  307 B/s\x1b[K\n"
            "fedcba987654  done       2.0 KiB\x1b[K\n");
}

TEST(PullScreenTest, APipeGetsALineForEachChangeOfState) {
  std::ostringstream out;
  PullScreen screen(&out, /*terminal=*/false);
  for (const uint64_t fetched : {0, 100, 2000}) {
    PullImageProgress progress;
    Add(&progress, "sha256:0123456789abcdef", fetched, LayerProgress::FETCHING);
    screen.Show(progress, absl::Seconds(fetched));
  }
  PullImageProgress done;
  Add(&done, "sha256:0123456789abcdef", 2048, LayerProgress::DONE);
  screen.Show(done, absl::Seconds(3000));
  EXPECT_EQ(out.str(),
            "0123456789ab  fetching   0 B of 2.0 KiB  0%\n"
            "0123456789ab  done       2.0 KiB\n");
}

}  // namespace
}  // namespace warren::agent::ctl
