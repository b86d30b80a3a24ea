#include "runtime/image/tar_header.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>

#include <algorithm>

#include "runtime/base/status.h"

namespace warren::image {
namespace {

struct Field {
  size_t offset;
  size_t size;
};
constexpr Field kName = {0, 100};
constexpr Field kMode = {100, 8};
constexpr Field kUid = {108, 8};
constexpr Field kGid = {116, 8};
constexpr Field kSize = {124, 12};
constexpr Field kMtime = {136, 12};
constexpr Field kChecksum = {148, 8};
constexpr size_t kType = 156;
constexpr Field kLinkName = {157, 100};
constexpr Field kMagic = {257, 8};
constexpr Field kPrefix = {345, 155};
// GNU type 'S'.
constexpr size_t kSparse = 386;
constexpr size_t kSparseInHeader = 4;
constexpr size_t kIsExtended = 482;
constexpr Field kRealSize = {483, 12};
constexpr size_t kSparseInBlock = 21;
constexpr size_t kBlockIsExtended = 504;
constexpr size_t kSparseItem = 24;

absl::Status BadHeader(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("tar header: ", why));
}

absl::string_view Cut(absl::string_view block, Field field) {
  return block.substr(field.offset, field.size);
}

// Up to the first NUL.
std::string Text(absl::string_view field) {
  return std::string(field.substr(0, field.find('\0')));
}

absl::StatusOr<uint64_t> Count(absl::string_view block, Field field,
                               absl::string_view what) {
  ASSIGN_OR_RETURN_IN(const int64_t value, DecodeTarNumber(Cut(block, field)),
                      what);
  if (value < 0) return BadHeader(absl::StrCat("negative ", what));
  return static_cast<uint64_t>(value);
}

absl::Status CheckChecksum(absl::string_view block) {
  ASSIGN_OR_RETURN(const int64_t stated,
                   DecodeTarNumber(Cut(block, kChecksum)));
  int64_t sum = 0;
  int64_t signed_sum = 0;  // what some old writers computed
  for (size_t i = 0; i < kTarBlock; ++i) {
    const bool own =
        i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    const char c = own ? ' ' : block[i];
    sum += static_cast<unsigned char>(c);
    signed_sum += static_cast<signed char>(c);
  }
  if (stated != sum && stated != signed_sum)
    return BadHeader("checksum is wrong");
  return absl::OkStatus();
}

// Up to `count` pairs; an empty one ends the list.
absl::Status DecodeChunks(absl::string_view items, size_t count,
                          std::vector<SparseChunk>* chunks) {
  for (size_t i = 0; i < count; ++i) {
    const absl::string_view item = items.substr(i * kSparseItem, kSparseItem);
    if (item[0] == '\0' && item[12] == '\0') break;
    ASSIGN_OR_RETURN(const uint64_t offset,
                     Count(item, {0, 12}, "sparse offset"));
    ASSIGN_OR_RETURN(const uint64_t length,
                     Count(item, {12, 12}, "sparse length"));
    chunks->push_back({offset, length});
  }
  return absl::OkStatus();
}

}  // namespace

bool IsZeroBlock(absl::string_view block) {
  return std::all_of(block.begin(), block.end(),
                     [](char c) { return c == '\0'; });
}

absl::StatusOr<int64_t> DecodeTarNumber(absl::string_view field) {
  if (field.empty()) return 0;
  if ((static_cast<unsigned char>(field[0]) & 0x80) != 0) {
    // Two's complement of the whole field, the flag bit aside.
    const bool negative = (static_cast<unsigned char>(field[0]) & 0x40) != 0;
    uint64_t value = negative ? ~uint64_t{0} : 0;
    for (size_t i = 0; i < field.size(); ++i) {
      unsigned char byte = static_cast<unsigned char>(field[i]);
      if (i == 0) byte = negative ? byte | 0x80 : byte & 0x7f;
      const unsigned char top = static_cast<unsigned char>(value >> 56);
      if (i > 0 && top != (negative ? 0xff : 0x00)) {
        return BadHeader("number is out of range");
      }
      value = (value << 8) | byte;
    }
    const auto result = static_cast<int64_t>(value);
    if ((result < 0) != negative) return BadHeader("number is out of range");
    return result;
  }
  field = field.substr(0, field.find('\0'));
  while (absl::ConsumePrefix(&field, " ")) {
  }
  while (absl::ConsumeSuffix(&field, " ")) {
  }
  int64_t value = 0;  // 12 octal digits at most: no overflow
  for (const char c : field) {
    if (c < '0' || c > '7') return BadHeader("number is not octal");
    value = value * 8 + (c - '0');
  }
  return value;
}

absl::StatusOr<TarHeader> DecodeTarHeader(absl::string_view block) {
  RETURN_IF_ERROR(CheckChecksum(block));
  TarHeader header;
  header.type = block[kType];
  header.name = Text(Cut(block, kName));
  header.link_name = Text(Cut(block, kLinkName));
  // High bits hold the file type in some writers; the type flag decides.
  ASSIGN_OR_RETURN(const uint64_t mode, Count(block, kMode, "mode"));
  header.mode = static_cast<uint32_t>(mode & 07777);
  ASSIGN_OR_RETURN(header.uid, Count(block, kUid, "uid"));
  ASSIGN_OR_RETURN(header.gid, Count(block, kGid, "gid"));
  ASSIGN_OR_RETURN(header.size, Count(block, kSize, "size"));
  ASSIGN_OR_RETURN(header.mtime, DecodeTarNumber(Cut(block, kMtime)));
  const absl::string_view magic = Cut(block, kMagic);
  if (magic == absl::string_view("ustar\0"
                                 "00",
                                 8)) {
    const std::string prefix = Text(Cut(block, kPrefix));
    if (!prefix.empty()) header.name = absl::StrCat(prefix, "/", header.name);
  }
  if (header.type == 'S') {
    if (magic != absl::string_view("ustar  \0", 8)) {
      return BadHeader("sparse file in an archive that is not GNU's");
    }
    RETURN_IF_ERROR(
        DecodeChunks(block.substr(kSparse), kSparseInHeader, &header.chunks));
    header.more_chunks = block[kIsExtended] != '\0';
    ASSIGN_OR_RETURN(header.real_size, Count(block, kRealSize, "real size"));
  }
  return header;
}

absl::StatusOr<bool> DecodeSparseBlock(absl::string_view block,
                                       std::vector<SparseChunk>* chunks) {
  RETURN_IF_ERROR(DecodeChunks(block, kSparseInBlock, chunks));
  return block[kBlockIsExtended] != '\0';
}

}  // namespace warren::image
