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

// What stands before the text of an entry: stamp, stream and tag.
inline constexpr size_t kEntryHeaderSize =
    kStampSize + sizeof(" stdout F ") - 1;

// The headers of entries, ready to be copied. A time of the same second
// changes nine digits, and an entry changes its tag at most, so that a line
// costs little more than its bytes. Thread-compatible.
class EntryHeaders {
 public:
  EntryHeaders();
  // Nanoseconds since 1970. Never goes back: an earlier time changes nothing.
  void SetTime(int64_t real_ns);
  // kEntryHeaderSize bytes, of an entry with the tag F.
  const char* Of(LogStream stream) const {
    return bytes_[stream == LogStream::kStdout ? 0 : 1];
  }

 private:
  int64_t time_ = 0;
  int64_t second_ = -1;  // of the stamp
  char bytes_[2][kEntryHeaderSize];
};

// A container's log: entries of both streams, gathered and written by whole
// entries to one O_APPEND descriptor.
//
// The bytes of an entry are copied once and written with those of its
// neighbours, by one write(2) for what one look at the pipes gave, as long as
// it fits into the buffer.
//
// A write error never stops the container: what does not fit is dropped, and
// what a full disk cut in two is cut back to a whole entry. The file is closed
// when nothing names it (no log asked for); entries then vanish.
// Thread-compatible.
class LogFile final : public EntrySink {
 public:
  // Room for gathered entries, borrowed. With the framers' rooms of both
  // streams it stays below what REL-14 allows them.
  struct Buffer {
    char bytes[8 * kMaxEntryText];
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
  void SetTime(int64_t real_ns) { headers_.SetTime(real_ns); }
  void Append(LogStream stream, bool partial, std::string_view text) override;
  // Writes what was gathered.
  void Flush();

 private:
  base::UniqueFd dir_;
  std::string name_;
  base::UniqueFd file_;
  EntryHeaders headers_;
  size_t used_ = 0;
  char* out_;
};

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_LOG_FILE_H_
