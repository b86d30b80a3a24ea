#ifndef WARREN_AGENT_CTL_PICTURE_H_
#define WARREN_AGENT_CTL_PICTURE_H_

#include <string>
#include <vector>

#include "warren/node/v1/node.pb.h"

// A pod's eight namespaces as text: the node on the left, the pod on the
// right with its containers as boxes in it. What is the same thing seen from
// both sides stands on one row, tied together by a line: a process with its
// two PIDs, the two ends of a veth, a namespace that is the node's own.
// Pure functions.
namespace warren::agent::ctl {

struct PictureStyle {
  bool lines = false;   // box-drawing characters (UTF-8) instead of + - |
  bool colour = false;  // ANSI colours
};

// One row of the picture, before it is laid out.
struct PictureRow {
  enum class Kind { kText, kBoxTop, kBoxBottom };
  enum class Tie {
    kNone,
    kCable,  // two views of one thing
    kSame,   // the pod uses the node's own
  };
  Kind kind = Kind::kText;
  Tie tie = Tie::kNone;
  int depth = 0;           // 0 = in the pod, 1 = in a container's box
  std::string left_label;  // "user", "pid", …; coloured
  std::string left;
  std::string right_label;
  std::string right;  // of kBoxTop: the title
};

// What there is to see, in order; defined in namespace_rows.cc. Pure, like the
// rest.
std::vector<PictureRow> NamespaceRows(
    const ::warren::node::v1::InspectPodSandboxResponse& view);

// Boxes and ties around rows.
std::string Draw(const std::string& title, const std::vector<PictureRow>& rows,
                 const PictureStyle& style);

// The whole picture, with the timings below it.
std::string DrawPod(const ::warren::node::v1::InspectPodSandboxResponse& view,
                    const PictureStyle& style);

}  // namespace warren::agent::ctl

#endif  // WARREN_AGENT_CTL_PICTURE_H_
