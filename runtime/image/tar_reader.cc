#include "runtime/image/tar_reader.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/image/limits.h"

namespace warren::image {
namespace {

constexpr uint64_t kMaxFileSize = uint64_t{1} << 62;

absl::Status BadTar(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("tar: ", why));
}

uint64_t PaddingOf(uint64_t size) {
  return (kTarBlock - size % kTarBlock) % kTarBlock;
}

absl::StatusOr<TarEntry::Type> TypeOf(char flag) {
  switch (flag) {
    case '0':
    case '\0':
    case '7':  // contiguous: a file
    case 'S':
      return TarEntry::Type::kFile;
    case '1':
      return TarEntry::Type::kHardLink;
    case '2':
      return TarEntry::Type::kSymlink;
    case '3':
      return TarEntry::Type::kCharDevice;
    case '4':
      return TarEntry::Type::kBlockDevice;
    case '5':
      return TarEntry::Type::kDirectory;
    case '6':
      return TarEntry::Type::kFifo;
    default:
      return BadTar("unknown type of member");
  }
}

// A sparse map must ascend, stay inside the file and cover what is stored.
absl::Status CheckChunks(const TarEntry& entry, uint64_t stored) {
  uint64_t end = 0;
  uint64_t sum = 0;
  if (entry.chunks.size() > kMaxSparseChunks) {
    return BadTar("sparse map is too long");
  }
  for (const SparseChunk& chunk : entry.chunks) {
    if (chunk.offset < end || chunk.offset > entry.size ||
        chunk.length > entry.size - chunk.offset) {
      return BadTar("sparse map is not in order");
    }
    end = chunk.offset + chunk.length;
    sum += chunk.length;
  }
  if (sum != stored) return BadTar("sparse map does not fit the data");
  return absl::OkStatus();
}

absl::Status SetId(uint64_t value, uint32_t* id) {
  // (uid_t)-1 means "leave it" to chown(2).
  if (value >= 0xffffffffu) return BadTar("owner is out of range");
  *id = static_cast<uint32_t>(value);
  return absl::OkStatus();
}

}  // namespace

absl::Status TarReader::Feed(absl::string_view data) {
  while (!data.empty()) {
    if (state_ == State::kEnd) {
      if (!IsZeroBlock(data)) return BadTar("data after the end");
      return absl::OkStatus();
    }
    if (state_ == State::kData || state_ == State::kPadding) {
      const size_t n =
          static_cast<size_t>(std::min<uint64_t>(remaining_, data.size()));
      remaining_ -= n;
      if (state_ == State::kData) RETURN_IF_ERROR(PassData(data.substr(0, n)));
      data.remove_prefix(n);
      if (remaining_ > 0) continue;
      if (state_ == State::kData) {
        RETURN_IF_ERROR(EndMember());
      } else {
        Collect(State::kHeader, kTarBlock);
      }
      continue;
    }
    const size_t n = std::min(wanted_ - buffer_.size(), data.size());
    buffer_.append(data.data(), n);
    data.remove_prefix(n);
    if (buffer_.size() == wanted_) RETURN_IF_ERROR(OnCollected());
  }
  return absl::OkStatus();
}

absl::Status TarReader::Finish() {
  if (state_ == State::kEnd) return absl::OkStatus();
  const bool between = state_ == State::kHeader && buffer_.empty();
  if (!between || pax_.has_value() || long_name_.has_value() ||
      long_link_.has_value()) {
    return BadTar("archive is cut short");
  }
  return absl::OkStatus();
}

void TarReader::Collect(State state, uint64_t bytes) {
  state_ = state;
  buffer_.clear();
  wanted_ = static_cast<size_t>(bytes);
}

absl::Status TarReader::OnCollected() {
  switch (state_) {
    case State::kHeader:
      return OnHeader();
    case State::kMeta:
      return OnMetaBody();
    case State::kSparseBlock:
      return OnSparseBlock();
    default:
      return OnSparseMap();
  }
}

absl::Status TarReader::OnHeader() {
  if (IsZeroBlock(buffer_)) {
    if (pax_.has_value() || long_name_.has_value() || long_link_.has_value()) {
      return BadTar("extended header without a member");
    }
    Collect(zero_block_ ? State::kEnd : State::kHeader, kTarBlock);
    zero_block_ = true;
    return absl::OkStatus();
  }
  if (zero_block_) return BadTar("a single zero block");
  ASSIGN_OR_RETURN(TarHeader header, DecodeTarHeader(buffer_));
  // At most one of each of these comes with a member.
  if (header.type == 'x' || header.type == 'L' || header.type == 'K') {
    return OnMetaHeader(header);
  }
  if (++entries_ > max_entries_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("tar: more than ", max_entries_, " members"));
  }
  if (header.type == 'g') return OnMetaHeader(header);
  return OnMember(std::move(header));
}

absl::Status TarReader::OnMetaHeader(const TarHeader& header) {
  if ((header.type == 'x' && pax_.has_value()) ||
      (header.type == 'L' && long_name_.has_value()) ||
      (header.type == 'K' && long_link_.has_value())) {
    return BadTar("two extended headers for one member");
  }
  const bool pax = header.type == 'x' || header.type == 'g';
  // GNU counts the final NUL.
  if (header.size > (pax ? kMaxPaxBytes : kMaxPathBytes + 1)) {
    return BadTar("extended header is too long");
  }
  meta_type_ = header.type;
  meta_size_ = header.size;
  Collect(State::kMeta, header.size + PaddingOf(header.size));
  return wanted_ == 0 ? OnMetaBody() : absl::OkStatus();
}

absl::Status TarReader::OnMetaBody() {
  std::string body = buffer_.substr(0, static_cast<size_t>(meta_size_));
  Collect(State::kHeader, kTarBlock);
  if (meta_type_ == 'x' || meta_type_ == 'g') {
    ASSIGN_OR_RETURN(PaxRecords records, ParsePax(body));
    if (meta_type_ == 'x') {
      pax_ = std::move(records);
      return absl::OkStatus();
    }
    // A comment for all members is harmless (git archive writes one); values
    // for all members are read differently by different readers.
    if (records.path || records.link_path || records.size || records.uid ||
        records.gid || records.mtime || !records.xattrs.empty() ||
        records.sparse_name || records.sparse_real_size ||
        records.sparse_map_in_data || records.sparse_map_in_header) {
      return BadTar("extended header with values for all members");
    }
    return absl::OkStatus();
  }
  while (absl::EndsWith(body, absl::string_view("\0", 1))) body.pop_back();
  if (body.empty()) return BadTar("empty long name");
  if (body.find('\0') != std::string::npos) {
    return BadTar("long name holds a NUL byte");
  }
  (meta_type_ == 'L' ? long_name_ : long_link_) = std::move(body);
  return absl::OkStatus();
}

absl::Status TarReader::OnMember(TarHeader header) {
  entry_ = TarEntry();
  ASSIGN_OR_RETURN(entry_.type, TypeOf(header.type));
  entry_.mode = header.mode;
  RETURN_IF_ERROR(SetId(header.uid, &entry_.uid));
  RETURN_IF_ERROR(SetId(header.gid, &entry_.gid));
  entry_.mtime_seconds = header.mtime;
  entry_.path = long_name_.value_or(header.name);
  entry_.link = long_link_.value_or(header.link_name);
  stored_ = header.size;
  entry_.size = header.size;
  if (header.type == 'S') {
    entry_.sparse = true;
    entry_.chunks = std::move(header.chunks);
    entry_.size = header.real_size;
  }
  const PaxRecords pax = pax_.value_or(PaxRecords());
  if ((pax.path && long_name_) || (pax.link_path && long_link_)) {
    return BadTar("two long names for one member");
  }
  if (entry_.sparse && (pax.sparse_map_in_data || pax.sparse_map_in_header)) {
    return BadTar("two sparse maps for one member");
  }
  long_name_.reset();
  long_link_.reset();
  pax_.reset();
  RETURN_IF_ERROR(ApplyPax(pax));
  RETURN_IF_ERROR(CheckMember());
  if (header.more_chunks) {
    Collect(State::kSparseBlock, kTarBlock);
    return absl::OkStatus();
  }
  if (pax.sparse_map_in_data) {
    sparse_map_.clear();
    sparse_numbers_.clear();
    Collect(State::kSparseMap, kTarBlock);
    return absl::OkStatus();
  }
  return BeginData();
}

absl::Status TarReader::CheckMember() {
  if (entry_.path.empty()) return BadTar("member without a name");
  const bool link = entry_.type == TarEntry::Type::kHardLink ||
                    entry_.type == TarEntry::Type::kSymlink;
  if (link && entry_.link.empty()) return BadTar("link without a target");
  if (entry_.type == TarEntry::Type::kFile && entry_.path.back() == '/') {
    // How v7 wrote directories.
    if (stored_ != 0) return BadTar("directory with data");
    entry_.type = TarEntry::Type::kDirectory;
  }
  if (entry_.type == TarEntry::Type::kDirectory) {
    stored_ = 0;  // some writers put the directory's own size there
  } else if (entry_.type != TarEntry::Type::kFile && stored_ != 0) {
    return BadTar("member that is no file has data");
  }
  if (stored_ > kMaxFileSize || entry_.size > kMaxFileSize) {
    return BadTar("size is out of range");
  }
  if (entry_.type != TarEntry::Type::kFile) entry_.size = 0;
  padding_ = PaddingOf(stored_);
  return absl::OkStatus();
}

absl::Status TarReader::ApplyPax(const PaxRecords& pax) {
  if (pax.path) entry_.path = *pax.path;
  if (pax.link_path) entry_.link = *pax.link_path;
  if (pax.uid) RETURN_IF_ERROR(SetId(*pax.uid, &entry_.uid));
  if (pax.gid) RETURN_IF_ERROR(SetId(*pax.gid, &entry_.gid));
  if (pax.mtime) {
    entry_.mtime_seconds = pax.mtime->seconds;
    entry_.mtime_nanoseconds = pax.mtime->nanoseconds;
  }
  if (pax.size) {
    stored_ = *pax.size;
    if (!entry_.sparse) entry_.size = *pax.size;
  }
  entry_.xattrs = pax.xattrs;
  if (pax.sparse_map_in_data || pax.sparse_map_in_header) {
    if (entry_.type != TarEntry::Type::kFile || !pax.sparse_real_size) {
      return BadTar("incomplete sparse file");
    }
    entry_.sparse = true;
    entry_.size = *pax.sparse_real_size;
    entry_.chunks = pax.sparse_map;
    if (pax.sparse_name) entry_.path = *pax.sparse_name;
  } else if (pax.sparse_name || pax.sparse_real_size) {
    return BadTar("incomplete sparse file");
  }
  return absl::OkStatus();
}

absl::Status TarReader::OnSparseBlock() {
  ASSIGN_OR_RETURN(const bool more, DecodeSparseBlock(buffer_, &entry_.chunks));
  if (entry_.chunks.size() > kMaxSparseChunks) {
    return BadTar("sparse map is too long");
  }
  if (more) {
    Collect(State::kSparseBlock, kTarBlock);
    return absl::OkStatus();
  }
  return BeginData();
}

// Version 1.0: decimal numbers, one a line, in whole blocks in front of the
// data: how many chunks, then offset and length of each.
absl::Status TarReader::OnSparseMap() {
  if (stored_ < kTarBlock) return BadTar("sparse map does not fit the data");
  stored_ -= kTarBlock;
  sparse_map_ += buffer_;
  std::vector<uint64_t>& numbers = sparse_numbers_;
  absl::string_view rest = sparse_map_;
  for (size_t end; (end = rest.find('\n')) != absl::string_view::npos;) {
    ASSIGN_OR_RETURN(const uint64_t number, ParseDecimal(rest.substr(0, end)));
    rest.remove_prefix(end + 1);
    numbers.push_back(number);
    if (numbers[0] > kMaxSparseChunks) return BadTar("sparse map is too long");
    if (numbers.size() == 1 + 2 * numbers[0]) break;
  }
  if (numbers.empty() || numbers.size() < 1 + 2 * numbers[0]) {
    constexpr size_t kMaxDigits = 20;
    if (rest.size() > kMaxDigits)
      return BadTar("sparse map is no list of numbers");
    sparse_map_ = std::string(rest);
    Collect(State::kSparseMap, kTarBlock);
    return absl::OkStatus();
  }
  for (size_t i = 1; i < numbers.size(); i += 2) {
    entry_.chunks.push_back({numbers[i], numbers[i + 1]});
  }
  return BeginData();
}

absl::Status TarReader::BeginData() {
  if (entry_.sparse) RETURN_IF_ERROR(CheckChunks(entry_, stored_));
  RETURN_IF_ERROR(sink_->BeginEntry(entry_));
  chunk_ = 0;
  chunk_done_ = 0;
  remaining_ = stored_;
  if (remaining_ == 0) return EndMember();
  buffer_.clear();
  state_ = State::kData;
  return absl::OkStatus();
}

absl::Status TarReader::PassData(absl::string_view bytes) {
  if (!entry_.sparse) {
    // remaining_ no longer counts `bytes`.
    return sink_->Data(stored_ - remaining_ - bytes.size(), bytes);
  }
  while (!bytes.empty()) {
    // CheckChunks: there is a chunk for every byte.
    const SparseChunk& chunk = entry_.chunks[chunk_];
    const size_t n = static_cast<size_t>(
        std::min<uint64_t>(chunk.length - chunk_done_, bytes.size()));
    if (n > 0) {
      RETURN_IF_ERROR(
          sink_->Data(chunk.offset + chunk_done_, bytes.substr(0, n)));
    }
    bytes.remove_prefix(n);
    chunk_done_ += n;
    if (chunk_done_ == chunk.length) {
      ++chunk_;
      chunk_done_ = 0;
    }
  }
  return absl::OkStatus();
}

absl::Status TarReader::EndMember() {
  RETURN_IF_ERROR(sink_->EndEntry());
  Collect(State::kHeader, kTarBlock);
  if (padding_ > 0) {
    remaining_ = padding_;
    state_ = State::kPadding;
  }
  return absl::OkStatus();
}

}  // namespace warren::image
