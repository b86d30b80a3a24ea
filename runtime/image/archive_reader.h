#ifndef WARREN_RUNTIME_IMAGE_ARCHIVE_READER_H_
#define WARREN_RUNTIME_IMAGE_ARCHIVE_READER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "runtime/base/unique_fd.h"
#include "runtime/image/digest.h"
#include "runtime/image/limits.h"
#include "runtime/image/tar_reader.h"

namespace warren::image {

// Reads the tar of an OCI image layout as it arrives and puts its blobs into a
// directory, each verified against its name. Looks at nothing inside a blob.
//
// Accepted members: the files oci-layout, index.json and
// blobs/sha256/<64 hex>, directories on the way, and manifest.json and
// repositories, which archives for older tools carry beside and which are
// skipped. Everything else is kInvalidArgument, so is a member twice.
// kResourceExhausted past limits.archive_bytes or the free space. A compressed
// archive is refused by name. After an error every further call fails.
// Thread-compatible.
class ArchiveReader : private TarSink {
 public:
  // `directory` is borrowed: where blobs go, as files named by their hex
  // digits. `archive_budget`: bytes that may arrive.
  ArchiveReader(int directory, uint64_t archive_budget);

  absl::Status Write(absl::string_view chunk);
  // After the last byte: the archive is whole and is an OCI layout 1.x.
  absl::Status Finish();

  // Valid after Finish.
  const std::string& index_json() const { return *index_json_; }
  // Size of every blob received.
  const std::map<Digest, uint64_t>& blobs() const { return blobs_; }

 private:
  enum class Member { kNone, kSkipped, kLayout, kIndex, kBlob };

  absl::Status BeginEntry(const TarEntry& entry) override;
  absl::Status Data(uint64_t offset, absl::string_view bytes) override;
  absl::Status EndEntry() override;

  absl::Status Accept(absl::string_view chunk);
  absl::Status BeginDocument(Member member, const TarEntry& entry,
                             std::optional<std::string>* document,
                             size_t limit);
  absl::Status BeginBlob(absl::string_view hex, const TarEntry& entry);
  absl::Status EndBlob();

  const int directory_;
  const uint64_t budget_;
  uint64_t received_ = 0;
  std::string magic_;  // the first bytes, to name what is no tar
  TarReader tar_;
  absl::Status status_;

  Member member_ = Member::kNone;
  std::optional<std::string> layout_;
  std::optional<std::string> index_json_;
  std::map<Digest, uint64_t> blobs_;

  // The blob being received.
  std::optional<Digest> digest_;
  uint64_t size_ = 0;
  base::UniqueFd file_;
  Sha256 hash_;
};

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_ARCHIVE_READER_H_
