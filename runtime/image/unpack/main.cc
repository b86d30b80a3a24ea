// warren-unpack COMPRESSION MAX_BYTES MAX_ENTRIES
//
// Turns one layer blob into a directory, inside walls. Started by the agent
// only: unpack_protocol.h says what it talks, ../README.md what it may do.

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "runtime/base/status.h"
#include "runtime/image/digest.h"
#include "runtime/image/tar_pax.h"
#include "runtime/image/unpack/confine.h"
#include "runtime/image/unpack/unpack_layer.h"
#include "runtime/image/unpack_protocol.h"

namespace warren::image {
namespace {

absl::StatusOr<Compression> ParseCompression(absl::string_view name) {
  if (name == kUnpackPlain) return Compression::kNone;
  if (name == kUnpackGzip) return Compression::kGzip;
  if (name == kUnpackZstd) return Compression::kZstd;
  return absl::InvalidArgumentError("unknown compression");
}

absl::Status WriteLeanings(absl::string_view text) {
  off_t at = 0;
  while (!text.empty()) {
    const ssize_t n = pwrite(kUnpackLeaningsFd, text.data(), text.size(), at);
    if (n < 0) return base::ErrnoError(errno, "write what the layer leans on");
    at += n;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::StatusOr<UnpackedLayer> Run(int argc, char** argv) {
  constexpr int kArguments = 4;
  if (argc != kArguments) return absl::InvalidArgumentError("wrong usage");
  ASSIGN_OR_RETURN(const Compression compression, ParseCompression(argv[1]));
  UnpackBudget budget;
  ASSIGN_OR_RETURN(budget.bytes, ParseDecimal(argv[2]));
  ASSIGN_OR_RETURN(budget.entries, ParseDecimal(argv[3]));
  // The first use of the library reads files and takes locks; what it made is
  // kept.
  Digest::Of("");
  RETURN_IF_ERROR(LimitResources());
  ASSIGN_OR_RETURN_IN(const base::UniqueFd root,
                      EnterDirectory(kUnpackTargetFd), "confine");
  RETURN_IF_ERROR_IN(LockDown(kUnpackResultFd), "confine");
  ASSIGN_OR_RETURN(UnpackedLayer layer,
                   UnpackLayer(kUnpackBlobFd, compression, root.get(), budget));
  RETURN_IF_ERROR(WriteLeanings(layer.leanings));
  return layer;
}

UnpackResult Record(const absl::StatusOr<UnpackedLayer>& outcome) {
  UnpackResult record = {};
  record.magic = kUnpackMagic;
  record.code = static_cast<int32_t>(outcome.status().code());
  if (outcome.ok()) {
    record.stream_bytes = outcome->stream_bytes;
    record.disk_bytes = outcome->disk_bytes;
    record.inodes = outcome->inodes;
    record.leaning_bytes = outcome->leanings.size();
    memcpy(record.diff_id, outcome->diff_id_hex.data(),
           std::min(outcome->diff_id_hex.size(), sizeof(record.diff_id)));
    return record;
  }
  const absl::string_view message = outcome.status().message();
  memcpy(record.message, message.data(),
         std::min(message.size(), sizeof(record.message) - 1));
  return record;
}

}  // namespace
}  // namespace warren::image

int main(int argc, char** argv) {
  using warren::image::UnpackResult;
  const UnpackResult record =
      warren::image::Record(warren::image::Run(argc, argv));
  const ssize_t n =
      write(warren::image::kUnpackResultFd, &record, sizeof(record));
  // No clean-up at exit: most of it is not in the allow-list.
  _exit(n == static_cast<ssize_t>(sizeof(record)) ? 0 : 1);
}
