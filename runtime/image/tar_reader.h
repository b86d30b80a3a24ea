#ifndef WARREN_RUNTIME_IMAGE_TAR_READER_H_
#define WARREN_RUNTIME_IMAGE_TAR_READER_H_

#include <absl/status/status.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/image/tar_entry.h"
#include "runtime/image/tar_header.h"
#include "runtime/image/tar_pax.h"

namespace warren::image {

// Reads a tar that arrives in pieces of any size and hands its members to a
// sink. Dialects: v7, ustar, PAX, GNU long names and base-256 numbers, and the
// four sparse formats of GNU tar. Where two readers could disagree about what
// an archive holds, it is refused: two names for one member, overrides for
// all further members, a single zero block, anything but zeros after the end,
// a link with data, unknown types.
//
//   header --> meta body (x g L K) --> header …
//          --> [sparse map] --> data --> padding --> header …
//          --> zero block --> zero block --> end (zeros only)
//
// Memory: one extended header (kMaxPaxBytes) and one entry. Errors are
// kInvalidArgument, kResourceExhausted past `max_entries`, or the sink's own;
// after one, the reader must not be fed again. Thread-compatible.
class TarReader {
 public:
  // `sink` is borrowed.
  TarReader(TarSink* sink, uint64_t max_entries)
      : sink_(sink), max_entries_(max_entries) {}

  absl::Status Feed(absl::string_view data);
  // After the last byte: kInvalidArgument when the archive is cut short.
  absl::Status Finish();

  // Members, and headers for all members, so far.
  uint64_t entries() const { return entries_; }

 private:
  enum class State {
    kHeader,       // collects one block
    kMeta,         // collects the body of meta_type_
    kSparseBlock,  // collects one block of GNU chunks
    kSparseMap,    // collects blocks until the map in the data is whole
    kData,         // passes remaining_ bytes on
    kPadding,      // drops remaining_ bytes
    kEnd,          // zeros only
  };

  void Collect(State state, uint64_t bytes);
  absl::Status OnCollected();
  absl::Status OnHeader();
  absl::Status OnMetaHeader(const TarHeader& header);
  absl::Status OnMetaBody();
  absl::Status OnSparseBlock();
  absl::Status OnSparseMap();
  absl::Status OnMember(TarHeader header);
  absl::Status CheckMember();
  absl::Status ApplyPax(const PaxRecords& pax);
  absl::Status BeginData();
  absl::Status PassData(absl::string_view bytes);
  absl::Status EndMember();

  TarSink* const sink_;
  const uint64_t max_entries_;
  uint64_t entries_ = 0;

  State state_ = State::kHeader;
  std::string buffer_;         // being collected
  size_t wanted_ = kTarBlock;  // size that buffer_ shall reach
  bool zero_block_ = false;    // the first of the two at the end was seen

  char meta_type_ = 0;
  uint64_t meta_size_ = 0;
  std::optional<std::string> long_name_;  // GNU 'L'
  std::optional<std::string> long_link_;  // GNU 'K'
  std::optional<PaxRecords> pax_;

  TarEntry entry_;
  uint64_t stored_ = 0;     // bytes of the member in the archive
  uint64_t remaining_ = 0;  // of them, or of the padding, still to come
  uint64_t padding_ = 0;
  std::string sparse_map_;  // text in front of the data, not yet read
  std::vector<uint64_t> sparse_numbers_;  // and what was read of it
  size_t chunk_ = 0;                      // sparse chunk being filled
  uint64_t chunk_done_ = 0;
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_TAR_READER_H_
