#include "runtime/shim/log_framer.h"

#include <cstring>

namespace warren::shim {

void LogFramer::EmitLine(std::string_view line, EntrySink* sink) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  while (line.size() > kMaxEntryText) {
    sink->Append(stream_, true, line.substr(0, kMaxEntryText));
    line.remove_prefix(kMaxEntryText);
  }
  sink->Append(stream_, false, line);
}

void LogFramer::Consume(size_t n, EntrySink* sink) {
  const size_t end = used_ + n;
  size_t start = 0;
  size_t scan = used_;  // there is no newline before
  while (scan != end) {
    // An empty line is not worth a call.
    size_t at = scan;
    if (buffer_[scan] != '\n') {
      const void* found = memchr(buffer_ + scan, '\n', end - scan);
      if (found == nullptr) break;
      at = static_cast<size_t>(static_cast<const char*>(found) - buffer_);
    }
    EmitLine({buffer_ + start, at - start}, sink);
    start = scan = at + 1;
  }
  // One byte more than an entry may stay: a '\r' that a newline may follow.
  while (end - start > kMaxEntryText + 1) {
    sink->Append(stream_, true, {buffer_ + start, kMaxEntryText});
    start += kMaxEntryText;
  }
  used_ = end - start;
  if (start != 0) memmove(buffer_, buffer_ + start, used_);
}

void LogFramer::Finish(EntrySink* sink) {
  std::string_view rest(buffer_, used_);
  used_ = 0;
  while (!rest.empty()) {
    const std::string_view piece = rest.substr(0, kMaxEntryText);
    sink->Append(stream_, true, piece);
    rest.remove_prefix(piece.size());
  }
}

}  // namespace warren::shim
