#include "runtime/image/testing/tar_builder.h"

#include <absl/strings/str_cat.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace warren::image::testing {
namespace {

void Put(std::string* block, size_t offset, size_t size,
         const std::string& text) {
  block->replace(offset, std::min(size, text.size()), text, 0,
                 std::min(size, text.size()));
}

std::string Octal(uint64_t value, int digits) {
  char text[32];
  snprintf(text, sizeof(text), "%0*llo", digits,
           static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

std::string Padded(std::string data) {
  data.resize((data.size() + 511) / 512 * 512, '\0');
  return data;
}

std::string PaxRecord(const std::string& key, const std::string& value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest + 1;
  while (length != rest + absl::StrCat(length).size()) {
    length = rest + absl::StrCat(length).size();
  }
  return absl::StrCat(length, " ", key, "=", value, "\n");
}

void FixChecksum(std::string* block) {
  Put(block, 148, 8, "        ");
  uint64_t sum = 0;
  for (size_t i = 0; i < 512; ++i) {
    sum += static_cast<unsigned char>((*block)[i]);
  }
  Put(block, 148, 8, Octal(sum, 6) + std::string("\0 ", 2));
}

std::string TarHeaderBlock(const Member& member) {
  std::string block(512, '\0');
  Put(&block, 0, 100, member.name);
  Put(&block, 100, 7, Octal(member.mode, 7));
  Put(&block, 108, 7, Octal(member.uid, 7));
  Put(&block, 116, 7, Octal(member.gid, 7));
  const uint64_t size = member.size >= 0 ? static_cast<uint64_t>(member.size)
                                         : member.data.size();
  Put(&block, 124, 11, Octal(size, 11));
  Put(&block, 136, 11, Octal(static_cast<uint64_t>(member.mtime), 11));
  block[156] = member.type;
  Put(&block, 157, 100, member.link);
  Put(&block, 257, 8, std::string("ustar\00000", 8));
  FixChecksum(&block);
  return block;
}

TarBuilder& TarBuilder::Add(const Member& member) {
  if (!member.pax.empty()) {
    std::string body;
    for (const auto& [key, value] : member.pax) body += PaxRecord(key, value);
    PaxHeader('x', body);
  }
  return Raw(TarHeaderBlock(member)).Raw(Padded(member.data));
}

TarBuilder& TarBuilder::File(const std::string& name, const std::string& data,
                             uint32_t mode) {
  Member member;
  member.name = name;
  member.data = data;
  member.mode = mode;
  return Add(member);
}

TarBuilder& TarBuilder::Directory(const std::string& name, uint32_t mode) {
  Member member;
  member.name = name;
  member.type = '5';
  member.mode = mode;
  return Add(member);
}

TarBuilder& TarBuilder::Symlink(const std::string& name,
                                const std::string& target) {
  Member member;
  member.name = name;
  member.type = '2';
  member.link = target;
  return Add(member);
}

TarBuilder& TarBuilder::HardLink(const std::string& name,
                                 const std::string& target) {
  Member member;
  member.name = name;
  member.type = '1';
  member.link = target;
  return Add(member);
}

TarBuilder& TarBuilder::GnuLong(char type, const std::string& text) {
  Member member;
  member.name = "././@LongLink";
  member.type = type;
  member.data = text + std::string(1, '\0');
  return Add(member);
}

TarBuilder& TarBuilder::PaxHeader(char type, const std::string& body) {
  Member member;
  member.name = "pax";
  member.type = type;
  member.data = body;
  return Add(member);
}

TarBuilder& TarBuilder::Raw(absl::string_view bytes) {
  bytes_.append(bytes.data(), bytes.size());
  return *this;
}

std::string TarBuilder::Build() const {
  return bytes_ + std::string(1024, '\0');
}

namespace {

std::string CompressGzip(absl::string_view data) {
  z_stream stream = {};
  if (deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    std::abort();
  }
  std::string out(deflateBound(&stream, data.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) std::abort();
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

std::string CompressZstd(absl::string_view data, int window_log) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  if (window_log > 0) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
    // A known size would shrink the window to it.
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  }
  std::string out(ZSTD_compressBound(data.size()) + 64, '\0');
  ZSTD_outBuffer output = {out.data(), out.size(), 0};
  ZSTD_inBuffer input = {data.data(), data.size(), 0};
  // Two calls, so that the size is not known when the frame starts.
  ZSTD_compressStream2(context, &output, &input, ZSTD_e_continue);
  if (ZSTD_compressStream2(context, &output, &input, ZSTD_e_end) != 0) {
    std::abort();
  }
  ZSTD_freeCCtx(context);
  out.resize(output.pos);
  return out;
}

std::string Compress(absl::string_view data, Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return CompressGzip(data);
    case Compression::kZstd:
      return CompressZstd(data, 0);
    case Compression::kNone:
      break;
  }
  return std::string(data);
}

}  // namespace warren::image::testing
