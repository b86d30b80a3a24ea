#include "runtime/image/unpack/decompressor.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <zlib.h>
// For ZSTD_getErrorCode, which tells a window that is too large from garbage.
#include <zstd.h>
#include <zstd_errors.h>

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/image/limits.h"
#include "runtime/image/tar_header.h"

namespace warren::image {
namespace {

constexpr size_t kOutputBytes = 128 << 10;

absl::Status BadLayer(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("layer: ", why));
}

class Plain : public Decompressor {
 public:
  absl::Status Finish() override { return absl::OkStatus(); }

 protected:
  absl::Status Decompress(absl::string_view data,
                          const Output& output) override {
    return output(data);
  }
};

class Gzip : public Decompressor {
 public:
  Gzip() : buffer_(kOutputBytes) {
    constexpr int kGzipOnly = 16;  // added to the window bits: no zlib header
    if (inflateInit2(&stream_, MAX_WBITS + kGzipOnly) != Z_OK) std::abort();
  }
  ~Gzip() override { inflateEnd(&stream_); }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;

  absl::Status Finish() override {
    return ended_ ? absl::OkStatus() : BadLayer("gzip stream is cut short");
  }

 protected:
  absl::Status Decompress(absl::string_view data,
                          const Output& output) override {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
    stream_.avail_in = static_cast<uInt>(data.size());
    bool full = false;  // more output may wait without more input
    while (stream_.avail_in > 0 || full) {
      if (ended_) {
        // Another member follows: how parallel compressors write.
        inflateReset(&stream_);
        ended_ = false;
      }
      stream_.next_out = buffer_.data();
      stream_.avail_out = static_cast<uInt>(buffer_.size());
      const int result = inflate(&stream_, Z_NO_FLUSH);
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
        return BadLayer("not a valid gzip stream");
      }
      ended_ = result == Z_STREAM_END;
      full = !ended_ && stream_.avail_out == 0;
      const size_t n = buffer_.size() - stream_.avail_out;
      RETURN_IF_ERROR(output(
          absl::string_view(reinterpret_cast<const char*>(buffer_.data()), n)));
    }
    return absl::OkStatus();
  }

 private:
  z_stream stream_ = {};
  std::vector<Bytef> buffer_;
  bool ended_ = false;
};

class Zstd : public Decompressor {
 public:
  Zstd() : stream_(ZSTD_createDStream()), buffer_(kOutputBytes) {
    if (stream_ == nullptr ||
        ZSTD_isError(ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax,
                                            kMaxZstdWindowLog))) {
      std::abort();
    }
  }
  ~Zstd() override { ZSTD_freeDStream(stream_); }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;

  absl::Status Finish() override {
    return ended_ ? absl::OkStatus() : BadLayer("zstd stream is cut short");
  }

 protected:
  absl::Status Decompress(absl::string_view data,
                          const Output& output) override {
    ZSTD_inBuffer in = {data.data(), data.size(), 0};
    bool full = false;
    while (in.pos < in.size || full) {
      ZSTD_outBuffer out = {buffer_.data(), buffer_.size(), 0};
      const size_t result = ZSTD_decompressStream(stream_, &out, &in);
      if (ZSTD_isError(result)) return Explain(result);
      ended_ = result == 0;
      full = !ended_ && out.pos == out.size;
      RETURN_IF_ERROR(output(absl::string_view(buffer_.data(), out.pos)));
    }
    return absl::OkStatus();
  }

 private:
  static absl::Status Explain(size_t result) {
    switch (ZSTD_getErrorCode(result)) {
      case ZSTD_error_frameParameter_windowTooLarge:
        return absl::ResourceExhaustedError(
            absl::StrCat("layer: zstd window is larger than ",
                         1u << kMaxZstdWindowLog, " bytes"));
      case ZSTD_error_memory_allocation:
        return absl::ResourceExhaustedError("layer: out of memory for zstd");
      default:
        return BadLayer("not a valid zstd stream");
    }
  }

  ZSTD_DStream* stream_;
  std::vector<char> buffer_;
  bool ended_ = false;
};

const char* NameOf(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return "gzip";
    case Compression::kZstd:
      return "zstd";
    case Compression::kNone:
      break;
  }
  return "a plain tar";
}

// What a tar starts with: a header, or the zeros at its end.
bool IsTarBlock(absl::string_view data) {
  if (data.size() < kTarBlock) return false;
  const absl::string_view block = data.substr(0, kTarBlock);
  return IsZeroBlock(block) || DecodeTarHeader(block).ok();
}

// RFC 1952, 2.3.1; RFC 8878, 3.1.1 and 3.1.2 (any of sixteen skippable frames).
std::optional<Compression> ByMagic(absl::string_view data) {
  if (absl::StartsWith(data, "\x1f\x8b")) return Compression::kGzip;
  if (absl::StartsWith(data, "\x28\xb5\x2f\xfd")) return Compression::kZstd;
  if (data.size() >= 4 && data.substr(1, 3) == "\x2a\x4d\x18" &&
      (static_cast<unsigned char>(data[0]) & 0xf0) == 0x50) {
    return Compression::kZstd;
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<Compression> SniffCompression(absl::string_view data,
                                             Compression label) {
  if (data.empty()) return label;
  // A name may look like a magic number; a checksum does not lie so easily.
  if (IsTarBlock(data)) return Compression::kNone;
  if (const auto found = ByMagic(data)) return *found;
  if (absl::StartsWith(data,
                       "\xfd"
                       "7zXZ") ||
      absl::StartsWith(data, "BZh")) {
    return BadLayer(
        "packed with xz or bzip2; only gzip, zstd and plain tar "
        "are known");
  }
  if (label == Compression::kNone) return label;
  return BadLayer(absl::StrCat("labelled ", NameOf(label),
                               ", but its bytes are neither gzip, zstd nor a "
                               "tar"));
}

std::unique_ptr<Decompressor> Decompressor::Create(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return std::make_unique<Gzip>();
    case Compression::kZstd:
      return std::make_unique<Zstd>();
    case Compression::kNone:
      break;
  }
  return std::make_unique<Plain>();
}

absl::Status Decompressor::Feed(absl::string_view data, const Output& output) {
  in_ += data.size();
  return Decompress(data, [&](absl::string_view bytes) -> absl::Status {
    if (bytes.empty()) return absl::OkStatus();
    out_ += bytes.size();
    if (out_ > kExpansionRatioFloor && out_ / kMaxExpansionRatio > in_) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "layer: expands to more than ", kMaxExpansionRatio, " times itself"));
    }
    return output(bytes);
  });
}

}  // namespace warren::image
