#include "agent/ctl/pull_screen.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>

#include "agent/ctl/table.h"

namespace warren::agent::ctl {

using ::warren::node::v1::LayerProgress;
using ::warren::node::v1::PullImageProgress;

namespace {

// Share of the newest figure in the speed that is shown.
constexpr double kNewest = 0.3;

const char* StateName(LayerProgress::State state) {
  switch (state) {
    case LayerProgress::FETCHING:
      return "fetching";
    case LayerProgress::UNPACKING:
      return "unpacking";
    case LayerProgress::DONE:
      return "done";
    default:
      return "waiting";
  }
}

}  // namespace

// "4f1a…  fetching    3.1 MiB of 28.0 MiB   11%  12.4 MiB/s"
std::string PullScreen::Line(const LayerProgress& layer, double speed) const {
  std::string line = absl::StrFormat("%s  %-9s", ShortId(layer.digest()),
                                     StateName(layer.state()));
  if (layer.state() != LayerProgress::FETCHING) {
    return absl::StrCat(line, "  ", FormatBytes(layer.size()));
  }
  const uint64_t percent =
      layer.size() == 0 ? 100 : layer.fetched() * 100 / layer.size();
  absl::StrAppend(&line, "  ", FormatBytes(layer.fetched()), " of ",
                  FormatBytes(layer.size()), "  ", percent, "%");
  if (speed >= 1) {
    absl::StrAppend(&line, "  ", FormatBytes(static_cast<uint64_t>(speed)),
                    "/s");
  }
  return line;
}

void PullScreen::NoteSpeeds(const PullImageProgress& progress,
                            absl::Duration now) {
  const double seconds = absl::ToDoubleSeconds(now - last_);
  last_ = now;
  layers_.resize(progress.layers_size());
  for (int i = 0; i < progress.layers_size(); ++i) {
    const uint64_t fetched = progress.layers(i).fetched();
    Layer& layer = layers_[i];
    // A layer may begin anew.
    if (seconds > 0 && fetched >= layer.fetched) {
      const double newest =
          static_cast<double>(fetched - layer.fetched) / seconds;
      layer.speed += kNewest * (newest - layer.speed);
    }
    layer.fetched = fetched;
  }
}

void PullScreen::Show(const PullImageProgress& progress, absl::Duration now) {
  NoteSpeeds(progress, now);
  // Up to the first line that was drawn.
  if (terminal_ && drawn_ > 0) out_ << absl::StrFormat("\x1b[%dA", drawn_);
  drawn_ = 0;
  for (int i = 0; i < progress.layers_size(); ++i) {
    const LayerProgress& layer = progress.layers(i);
    const bool changed = layers_[i].state != layer.state();
    layers_[i].state = layer.state();
    if (terminal_) {
      // The rest of the line is what stood there before.
      out_ << Line(layer, layers_[i].speed) << "\x1b[K\n";
      ++drawn_;
    } else if (changed) {
      out_ << Line(layer, 0) << "\n";
    }
  }
  out_.flush();
}

}  // namespace warren::agent::ctl
