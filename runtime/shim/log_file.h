#ifndef WARREN_RUNTIME_SHIM_LOG_FILE_H_
#define WARREN_RUNTIME_SHIM_LOG_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/unique_fd.h"
#include "runtime/shim/failure.h"
#include "runtime/shim/log_framer.h"

namespace warren::shim {

// "2026-01-02T03:04:05.678901234Z": 30 characters, no terminator.
inline constexpr size_t kStampSize = 30;
void FormatStamp(int64_t real_ns, char (&stamp)[kStampSize]);

// A container's log: entries of both streams, gathered and written by whole
// entries to one O_APPEND descriptor.
//
// A write error never stops the container: what does not fit is dropped, and
// what a full disk cut in two is cut back to a whole entry. The file is closed
// when nothing names it (no log asked for); entries then vanish.
// Thread-compatible.
class LogFile : public EntrySink {
 public:
  // Room for gathered entries, borrowed.
  struct Buffer {
    char bytes[2 * kMaxEntryText];
  };
  explicit LogFile(Buffer* out) : out_(out->bytes) {}

  // Opens (creates, appends, 0640) `name` below `dir_fd`, relative, of plain
  // components, parents made 0755; no symlink is followed and only a regular
  // file of our own user is taken (LOG-1). On failure the file that is open
  // stays in use. `dir_fd` is owned.
  Failure Open(base::UniqueFd dir_fd, const std::string& name);
  // Opens the same name again, in `dir_fd` when that is valid, else in the
  // same directory. What was appended before goes to the old file.
  Failure Reopen(base::UniqueFd dir_fd);

  // Stamp of the entries that follow, CLOCK_REALTIME. Never goes back.
  void SetTime(int64_t real_ns);
  void Append(LogStream stream, bool partial, std::string_view text) override;
  // Writes what was gathered.
  void Flush();

 private:
  base::UniqueFd dir_;
  std::string name_;
  base::UniqueFd file_;
  int64_t time_ = 0;
  char stamp_[kStampSize] = {};
  size_t used_ = 0;
  char* out_;
};

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_LOG_FILE_H_
