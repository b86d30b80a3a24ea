#ifndef WARREN_RUNTIME_IMAGE_TESTING_TAR_BUILDER_H_
#define WARREN_RUNTIME_IMAGE_TESTING_TAR_BUILDER_H_

#include <absl/strings/string_view.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/image/compression.h"

// Tar archives for tests, honest and hostile: every field can be what no
// decent writer would put there. Test only.
namespace warren::image::testing {

struct Member {
  std::string name;
  char type = '0';
  std::string data;
  std::string link;
  uint32_t mode = 0644;
  uint64_t uid = 0;
  uint64_t gid = 0;
  int64_t mtime = 0;
  int64_t size = -1;  // stated instead of the size of data
  // Records of a PAX header in front of the member.
  std::vector<std::pair<std::string, std::string>> pax;
};

class TarBuilder {
 public:
  TarBuilder& Add(const Member& member);
  TarBuilder& File(const std::string& name, const std::string& data = "",
                   uint32_t mode = 0644);
  TarBuilder& Directory(const std::string& name, uint32_t mode = 0755);
  TarBuilder& Symlink(const std::string& name, const std::string& target);
  TarBuilder& HardLink(const std::string& name, const std::string& target);
  // A header of type 'L' or 'K', as GNU tar writes it.
  TarBuilder& GnuLong(char type, const std::string& text);
  // A PAX header of type 'x' or 'g' with this body, whatever it is.
  TarBuilder& PaxHeader(char type, const std::string& body);
  TarBuilder& Raw(absl::string_view bytes);
  // What was added, with the two zero blocks.
  std::string Build() const;
  // Without them.
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// One 512-byte header with a right checksum.
std::string TarHeaderBlock(const Member& member);
// The header with its checksum put right after a change to it.
void FixChecksum(std::string* block);
// "LENGTH key=value\n".
std::string PaxRecord(const std::string& key, const std::string& value);
// `data` and zeros to a whole number of blocks.
std::string Padded(std::string data);

std::string Compress(absl::string_view data, Compression compression);
// zstd with a window of 2^window_log bytes stated in the frame.
std::string CompressZstd(absl::string_view data, int window_log);

}  // namespace warren::image::testing

#endif  // WARREN_RUNTIME_IMAGE_TESTING_TAR_BUILDER_H_
