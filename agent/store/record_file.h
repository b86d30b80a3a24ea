#ifndef WARREN_AGENT_STORE_RECORD_FILE_H_
#define WARREN_AGENT_STORE_RECORD_FILE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"

namespace warren::agent {

// ---- Frame of a record ----------------------------------------------------
//
//   offset  size
//        0     8  "WARRENRC"
//        8     4  CRC-32 (zlib's) of everything behind it, little endian
//       12     4  version, little endian
//       16     8  length of the payload, little endian
//       24     n  payload: a protobuf message
//
// The checksum covers the version too, so that a damaged version is a torn
// record and not a foreign one; magic and checksum keep their place in all
// versions. Nothing may follow the payload.
//
// Version 2 has the resolved specs (record.proto). Version 1 is read, never
// written.
inline constexpr uint32_t kRecordVersion = 2;

std::string FrameRecord(absl::string_view payload);

// kDataLoss: torn or damaged; kFailedPrecondition: whole, but of a version
// that this build does not read (REL-26).
absl::StatusOr<std::string> UnframeRecord(absl::string_view file);

// ---- A directory of records: <directory>/<id>/record.pb
// --------------------------
//
// Writes replace a record as a whole: the spare beside it, .record.pb.spare, is
// filled and then exchanged with it (renameat2(2), RENAME_EXCHANGE). Readers
// never look at the spare, so it may be torn. A record that is written again
// makes and frees no inode from its third write on: ext4 without a journal
// steps over each inode that was freed in the last minutes when it makes one.
// There is no fsync, because a power cut also ends every process that a record
// describes. Thread-safe; one id is written by one thread at a time.
class RecordDirectory {
 public:
  // `directory` is made if missing (0700); torn records move to `quarantine`,
  // which is made when needed.
  static absl::StatusOr<RecordDirectory> Open(const std::string& directory,
                                              const std::string& quarantine);

  // Names of sub-directories that are ids (64 hex digits); the rest is not
  // ours.
  absl::StatusOr<std::vector<std::string>> Ids() const;

  absl::Status Write(const std::string& id, absl::string_view payload) const;
  // kNotFound: no record there. kDataLoss: torn, or not a regular file, which
  // is proven. kFailedPrecondition: newer version. kUnavailable: the look
  // itself failed (EIO, EMFILE, ENOMEM, EACCES …), so that the record is
  // unknown; it may be whole. Nothing may be destroyed on that.
  absl::StatusOr<std::string> Read(const std::string& id) const;
  // The record, then its directory unless the runtime keeps something there.
  // Missing is OK.
  absl::Status Delete(const std::string& id) const;
  // Moves the record away, whatever it is. Returns its new name.
  absl::StatusOr<std::string> Quarantine(const std::string& id) const;

  // "<last component>/<id>/record.pb", for messages.
  std::string FileOf(const std::string& id) const;

 private:
  RecordDirectory(base::UniqueFd dir, std::string name, std::string quarantine);

  base::UniqueFd dir_;
  std::string name_;        // last component, for messages and quarantine
  std::string quarantine_;  // path
};

}  // namespace warren::agent

#endif  // WARREN_AGENT_STORE_RECORD_FILE_H_
