#ifndef WARREN_AGENT_CTL_LOG_FILE_H_
#define WARREN_AGENT_CTL_LOG_FILE_H_

#include <absl/strings/string_view.h>

#include <string>
#include <vector>

// Reads the log format that CRI prescribes:
//   2026-01-02T03:04:05.678901234Z stdout F hello
namespace warren::agent::ctl {

// stdout or stderr: the second word of a line of a CRI log.
enum class LogStream { kStdout, kStderr };

// A piece of output, ready to be written.
struct LogPiece {
  LogStream stream = LogStream::kStdout;
  std::string text;  // with the time in front when asked, with the newline
};

// Takes a log file bit by bit and gives back the output in it. A line that
// has not ended yet waits for its rest. Lines that are no CRI log lines are
// passed on as they are. Thread-compatible.
class LogReader {
 public:
  explicit LogReader(bool timestamps) : timestamps_(timestamps) {}

  std::vector<LogPiece> Feed(absl::string_view data);

 private:
  LogPiece Parse(absl::string_view line);

  bool timestamps_;
  std::string rest_;
  // The last entry of the stream was partial: its text goes on.
  bool open_line_[2] = {false, false};
};

}  // namespace warren::agent::ctl

#endif  // WARREN_AGENT_CTL_LOG_FILE_H_
