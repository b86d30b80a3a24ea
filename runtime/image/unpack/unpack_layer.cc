#include "runtime/image/unpack/unpack_layer.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/image/digest.h"
#include "runtime/image/tar_reader.h"
#include "runtime/image/unpack/decompressor.h"
#include "runtime/image/unpack/layer_writer.h"

namespace warren::image {

namespace {

// Until `wanted` bytes or the end; how many there are.
absl::StatusOr<size_t> Fill(int blob, char* buffer, size_t size,
                            size_t wanted) {
  size_t have = 0;
  while (have < wanted) {
    const ssize_t n = read(blob, buffer + have, size - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::ErrnoError(errno, "read the layer blob");
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  return have;
}

}  // namespace

absl::StatusOr<UnpackedLayer> UnpackLayer(int blob, Compression label, int root,
                                          const UnpackBudget& budget) {
  constexpr size_t kReadBytes = 256 << 10;
  LayerWriter writer(root, {budget.bytes, budget.entries});
  RETURN_IF_ERROR(writer.Begin());
  TarReader tar(&writer, budget.entries);
  Sha256 hash;
  UnpackedLayer result;
  const auto take = [&](absl::string_view bytes) -> absl::Status {
    result.stream_bytes += bytes.size();
    if (result.stream_bytes > budget.bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("layer unpacks to more than ", budget.bytes, " bytes"));
    }
    hash.Update(bytes);
    return tar.Feed(bytes);
  };
  std::vector<char> buffer(kReadBytes);
  ASSIGN_OR_RETURN(size_t n,
                   Fill(blob, buffer.data(), buffer.size(), kSniffBytes));
  ASSIGN_OR_RETURN(
      const Compression compression,
      SniffCompression(absl::string_view(buffer.data(), n), label));
  const auto decompressor = Decompressor::Create(compression);
  while (n > 0) {
    RETURN_IF_ERROR(
        decompressor->Feed(absl::string_view(buffer.data(), n), take));
    ASSIGN_OR_RETURN(n, Fill(blob, buffer.data(), buffer.size(), 1));
  }
  RETURN_IF_ERROR(decompressor->Finish());
  RETURN_IF_ERROR(tar.Finish());
  result.diff_id_hex = hash.Finish().hex();
  result.disk_bytes = writer.disk_bytes();
  result.inodes = writer.inodes();
  result.leanings = writer.leanings().Encode();
  return result;
}

}  // namespace warren::image
