#ifndef WARREN_RUNTIME_IMAGE_UNPACK_DECOMPRESSOR_H_
#define WARREN_RUNTIME_IMAGE_UNPACK_DECOMPRESSOR_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "runtime/image/compression.h"

namespace warren::image {

// The bytes that SniffCompression wants to see: one block of tar.
inline constexpr size_t kSniffBytes = 512;

// How a blob is packed that starts with `data` (kSniffBytes, or all there is).
// The bytes decide; `label`, what the manifest says, is for an empty blob and
// for messages. Labels are wrong in the field, and digest and diff ID say what
// the bytes must be. kInvalidArgument: none of the three.
absl::StatusOr<Compression> SniffCompression(absl::string_view data,
                                             Compression label);

// Turns the bytes of a layer blob into those of its tar, in pieces. The bytes
// must be of the stated kind: a gzip stream (one or more members), zstd
// frames (skippable ones too), or a plain tar; anything else, and anything
// after, is kInvalidArgument. Memory is bounded: 32 KiB windows for gzip,
// kMaxZstdWindowLog for zstd, a larger one is kResourceExhausted. So is output
// above kMaxExpansionRatio times the input. Thread-compatible.
class Decompressor {
 public:
  using Output = std::function<absl::Status(absl::string_view)>;

  static std::unique_ptr<Decompressor> Create(Compression compression);
  virtual ~Decompressor() = default;

  // Hands everything that `data` completes to `output`, whose errors it
  // returns.
  absl::Status Feed(absl::string_view data, const Output& output);
  // After the last byte: kInvalidArgument when the stream is cut short.
  virtual absl::Status Finish() = 0;

 protected:
  virtual absl::Status Decompress(absl::string_view data,
                                  const Output& output) = 0;

 private:
  uint64_t in_ = 0;
  uint64_t out_ = 0;
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_UNPACK_DECOMPRESSOR_H_
