#include "agent/ctl/picture.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/string_view.h>

#include <algorithm>

#include "agent/ctl/table.h"

namespace warren::agent::ctl {
namespace {

constexpr size_t kGutter = 9;      // columns between the two boxes
constexpr size_t kLabelWidth = 7;  // "cgroup" and a blank
constexpr size_t kNesting = 4;     // "| " and " |" of a container's box
constexpr char kNodeTitle[] = "node";

struct Glyphs {
  const char* across;
  const char* down;
  const char* corner[4];  // top left, top right, bottom left, bottom right
  const char* cable;
  const char* cable_start;
  const char* cable_cross;
  const char* cable_end;
  const char* same;
  const char* same_start;
  const char* same_cross;
  const char* same_end;
};
constexpr Glyphs kAscii = {
    "-", "|", {"+", "+", "+", "+"}, "-", "+", "+", "+", "=", "+", "+", "+"};
constexpr Glyphs kLines = {
    "─", "│", {"┌", "┐", "└", "┘"}, "─", "├", "┼", "┤", "═", "╞", "╪", "╡"};

enum class Ink { kFrame, kLabel, kTitle, kNode };

class Canvas {
 public:
  Canvas(const PictureStyle& style, size_t left_width, size_t right_width)
      : style_(style),
        glyphs_(style.lines ? kLines : kAscii),
        left_width_(left_width),
        right_width_(right_width) {}

  void Frame(const std::string& title, bool top) {
    BoxEdge(top ? kNodeTitle : "", top, left_width_);
    text_.append(kGutter, ' ');
    BoxEdge(title, top, right_width_);
    text_ += "\n";
  }

  void Row(const PictureRow& row) {
    const bool cable = row.tie == PictureRow::Tie::kCable;
    const bool tied = row.tie != PictureRow::Tie::kNone;
    const char* fill = !tied ? " " : (cable ? glyphs_.cable : glyphs_.same);
    const char* start = !tied   ? glyphs_.down
                        : cable ? glyphs_.cable_start
                                : glyphs_.same_start;
    const char* cross = !tied   ? glyphs_.down
                        : cable ? glyphs_.cable_cross
                                : glyphs_.same_cross;
    const char* end = !tied   ? glyphs_.down
                      : cable ? glyphs_.cable_end
                              : glyphs_.same_end;
    Put(Ink::kFrame, glyphs_.down);
    text_ += " ";
    Labelled(Ink::kNode, row.left_label, row.left, left_width_);
    text_ += " ";
    Put(Ink::kFrame, start);
    Put(Ink::kFrame, Repeat(fill, kGutter));
    Put(Ink::kFrame, row.depth == 0 ? end : cross);
    Right(row, fill, end);
    text_ += " ";
    Put(Ink::kFrame, glyphs_.down);
    text_ += "\n";
  }

  std::string Take() { return std::move(text_); }

  static size_t LabelledWidth(const std::string& label,
                              const std::string& body) {
    if (label.empty()) return body.size();
    return std::max(label.size() + 1, kLabelWidth) + body.size();
  }

 private:
  static std::string Repeat(absl::string_view what, size_t times) {
    std::string result;
    for (size_t i = 0; i < times; ++i) absl::StrAppend(&result, what);
    return result;
  }

  void Put(Ink ink, absl::string_view what) {
    if (!style_.colour || what.empty()) {
      absl::StrAppend(&text_, what);
      return;
    }
    // ECMA-48 SGR: 2 faint, 36 cyan, 1 bold, 33 yellow.
    static constexpr const char* kCodes[] = {"2", "36", "1", "33"};
    absl::StrAppend(&text_, "\x1b[", kCodes[static_cast<int>(ink)], "m", what,
                    "\x1b[0m");
  }

  // "label  body", padded to `width` columns. All text is ASCII by now.
  void Labelled(Ink ink, const std::string& label, const std::string& body,
                size_t width) {
    Put(ink, label);
    if (!label.empty()) {
      text_.append(std::max(label.size() + 1, kLabelWidth) - label.size(), ' ');
    }
    absl::StrAppend(&text_, body);
    text_.append(width - LabelledWidth(label, body), ' ');
  }

  // An edge of a box whose text is `width` columns wide.
  void BoxEdge(const std::string& title, bool top, size_t width) {
    Put(Ink::kFrame, glyphs_.corner[top ? 0 : 2]);
    if (title.empty()) {
      Put(Ink::kFrame, Repeat(glyphs_.across, width + 2));
    } else {
      Put(Ink::kFrame, glyphs_.across);
      text_ += " ";
      Put(Ink::kTitle, title);
      text_ += " ";
      Put(Ink::kFrame, Repeat(glyphs_.across, width - title.size() - 1));
    }
    Put(Ink::kFrame, glyphs_.corner[top ? 1 : 3]);
  }

  // What stands right of the pod's border, up to the blank before the other.
  void Right(const PictureRow& row, const char* fill, const char* end) {
    if (row.kind != PictureRow::Kind::kText) {
      text_ += " ";
      BoxEdge(row.right, row.kind == PictureRow::Kind::kBoxTop,
              right_width_ - kNesting);
    } else if (row.depth == 0) {
      text_ += " ";
      Labelled(Ink::kLabel, row.right_label, row.right, right_width_);
    } else {
      Put(Ink::kFrame, fill);
      Put(Ink::kFrame, end);
      text_ += " ";
      Labelled(Ink::kLabel, row.right_label, row.right,
               right_width_ - kNesting);
      text_ += " ";
      Put(Ink::kFrame, glyphs_.down);
    }
  }

  const PictureStyle& style_;
  const Glyphs& glyphs_;
  size_t left_width_;
  size_t right_width_;
  std::string text_;
};

template <class Timings>
std::string TimingLine(const std::string& what, const Timings& timings) {
  if (timings.empty()) return "";
  uint64_t sum = 0;
  std::string parts;
  for (const auto& timing : timings) {
    sum += timing.microseconds();
    absl::StrAppend(&parts, parts.empty() ? "" : ", ",
                    Printable(timing.phase()),
                    absl::StrFormat(" %.2f", timing.microseconds() / 1000.0));
  }
  return absl::StrFormat("%s took %.2f ms: %s\n", what, sum / 1000.0, parts);
}

}  // namespace

std::string Draw(const std::string& title, const std::vector<PictureRow>& rows,
                 const PictureStyle& style) {
  size_t left = sizeof(kNodeTitle);
  size_t right = title.size() + 1;
  for (const PictureRow& row : rows) {
    left = std::max(left, Canvas::LabelledWidth(row.left_label, row.left));
    const size_t title_room = row.kind == PictureRow::Kind::kText ? 0 : 1;
    const size_t nesting = row.depth > 0 || title_room > 0 ? kNesting : 0;
    right = std::max(right, Canvas::LabelledWidth(row.right_label, row.right) +
                                title_room + nesting);
  }
  Canvas canvas(style, left, right);
  canvas.Frame(title, true);
  for (const PictureRow& row : rows) canvas.Row(row);
  canvas.Frame("", false);
  return canvas.Take();
}

std::string DrawPod(const ::warren::node::v1::InspectPodSandboxResponse& view,
                    const PictureStyle& style) {
  const auto& pod = view.pod();
  const std::string title =
      Printable(absl::StrCat("pod ", pod.namespace_(), "/", pod.name(), "  ",
                             pod.state(), "  ", ShortId(pod.id())));
  std::string text = Draw(title, NamespaceRows(view), style);
  absl::StrAppend(&text, TimingLine("RunPodSandbox", pod.timings()));
  for (const auto& container : view.containers()) {
    absl::StrAppend(&text, TimingLine(absl::StrCat("container ",
                                                   Printable(container.name())),
                                      container.timings()));
  }
  return text;
}

}  // namespace warren::agent::ctl
