#include "agent/ctl/log_file.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <utility>

namespace warren::agent::ctl {

std::vector<LogPiece> LogReader::Feed(absl::string_view data) {
  std::vector<LogPiece> pieces;
  rest_.append(data.data(), data.size());
  size_t start = 0;
  for (size_t end = rest_.find('\n'); end != std::string::npos;
       end = rest_.find('\n', start)) {
    pieces.push_back(
        Parse(absl::string_view(rest_).substr(start, end - start)));
    start = end + 1;
  }
  rest_.erase(0, start);
  return pieces;
}

LogPiece LogReader::Parse(absl::string_view line) {
  const std::vector<absl::string_view> fields =
      absl::StrSplit(line, absl::MaxSplits(' ', 3));
  if (fields.size() < 4 || (fields[1] != "stdout" && fields[1] != "stderr")) {
    return {LogStream::kStdout, absl::StrCat(line, "\n")};
  }
  LogPiece piece;
  piece.stream =
      fields[1] == "stderr" ? LogStream::kStderr : LogStream::kStdout;
  bool& open = open_line_[static_cast<int>(piece.stream)];
  if (timestamps_ && !open) piece.text = absl::StrCat(fields[0], " ");
  // The tag may carry more, behind colons.
  open = fields[2].substr(0, fields[2].find(':')) == "P";
  absl::StrAppend(&piece.text, fields[3], open ? "" : "\n");
  return piece;
}

}  // namespace warren::agent::ctl
