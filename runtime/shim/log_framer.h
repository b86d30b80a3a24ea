#ifndef WARREN_RUNTIME_SHIM_LOG_FRAMER_H_
#define WARREN_RUNTIME_SHIM_LOG_FRAMER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace warren::shim {

enum class LogStream : uint8_t { kStdout, kStderr };

// Where framed entries go.
class EntrySink {
 public:
  // One entry: `text` has no newline. `partial`: tag P, the text goes on in
  // the next entry of the stream; else F.
  virtual void Append(LogStream stream, bool partial,
                      std::string_view text) = 0;

 protected:
  ~EntrySink() = default;
};

// Longest text of one entry; a longer line is cut into P…P F.
inline constexpr size_t kMaxEntryText = 16384;

// Room of one framer. Apart from it, so that what is looked at often lies
// together: the pages of an idle stream's buffer are never touched.
struct FramerBuffer {
  char bytes[2 * kMaxEntryText + 2];
};

// Cuts the bytes of one stream into entries of the CRI log. A carriage return
// before a newline is dropped. Holds at most one unfinished entry.
// Thread-compatible.
class LogFramer {
 public:
  // `buffer` is borrowed.
  LogFramer(LogStream stream, FramerBuffer* buffer)
      : stream_(stream), buffer_(buffer->bytes) {}

  // Where the next bytes go: at least kMaxEntryText of room.
  char* space() { return buffer_ + used_; }
  size_t space_size() const { return sizeof(FramerBuffer) - used_; }

  // `n` bytes were put into space().
  void Consume(size_t n, EntrySink* sink);

  // End of the stream: what is left becomes a P entry.
  void Finish(EntrySink* sink);

 private:
  void EmitLine(std::string_view line, EntrySink* sink);

  LogStream stream_;
  size_t used_ = 0;  // bytes of an unfinished line, <= kMaxEntryText + 1
  char* buffer_;
};

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_LOG_FRAMER_H_
