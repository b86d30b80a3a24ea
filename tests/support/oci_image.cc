#include "tests/support/oci_image.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <fcntl.h>
#include <openssl/sha.h>

#include <cstdio>
#include <cstring>

#include "runtime/base/file.h"

namespace warren::test {
namespace {

constexpr size_t kBlock = 512;

// ustar header (POSIX.1-1988, tar(5)); names up to 100 bytes.
std::string Header(const TarMember& member) {
  char block[kBlock] = {};
  std::snprintf(block, 100, "%s", member.name.c_str());
  std::snprintf(block + 100, 8, "%07o", member.mode);
  std::snprintf(block + 108, 8, "%07o", member.uid);
  std::snprintf(block + 116, 8, "%07o", member.gid);
  std::snprintf(block + 124, 12, "%011zo", member.content.size());
  std::snprintf(block + 136, 12, "%011o", 0);
  std::memset(block + 148, ' ', 8);
  block[156] = member.type;
  std::snprintf(block + 157, 100, "%s", member.link.c_str());
  std::memcpy(block + 257, "ustar\00000", 8);
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  std::snprintf(block + 148, 8, "%06o", sum);
  return std::string(block, kBlock);
}

std::string Descriptor(const std::string& type, const std::string& digest,
                       size_t size) {
  return absl::StrCat("{\"mediaType\":\"application/vnd.oci.image.", type,
                      "\",\"digest\":\"", digest, "\",\"size\":", size, "}");
}

TarMember Blob(const std::string& bytes) {
  return {.name = "blobs/sha256/" + Sha256(bytes).substr(7),
          .content = bytes,
          .mode = 0644};
}

}  // namespace

std::string Sha256(const std::string& bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         digest);
  return absl::StrCat("sha256:",
                      absl::BytesToHexString(absl::string_view(
                          reinterpret_cast<char*>(digest), sizeof(digest))));
}

std::string Tar(const std::vector<TarMember>& members) {
  std::string bytes;
  for (const TarMember& member : members) {
    bytes += Header(member);
    bytes += member.content;
    bytes.resize((bytes.size() + kBlock - 1) / kBlock * kBlock, '\0');
  }
  bytes.resize(bytes.size() + 2 * kBlock, '\0');
  return bytes;
}

std::string OciArchive(const OciImage& image) {
  std::vector<TarMember> members = {
      {.name = "oci-layout",
       .content = "{\"imageLayoutVersion\":\"1.0.0\"}",
       .mode = 0644}};
  std::vector<std::string> diff_ids;
  std::vector<std::string> descriptors;
  for (const std::string& layer : image.layers) {
    const bool first = diff_ids.empty();
    const std::string digest = Sha256(layer);
    const bool forge = first && !image.forged_layer_digest.empty();
    members.push_back(Blob(layer));
    descriptors.push_back(Descriptor("layer.v1.tar",
                                     forge ? image.forged_layer_digest : digest,
                                     layer.size()));
    diff_ids.push_back(absl::StrCat(
        "\"",
        first && !image.forged_diff_id.empty() ? image.forged_diff_id : digest,
        "\""));
  }
  const std::string config = absl::StrCat(
      "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":",
      image.config_json, ",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[",
      absl::StrJoin(diff_ids, ","), "]}}");
  const std::string manifest = absl::StrCat(
      "{\"schemaVersion\":2,\"mediaType\":"
      "\"application/vnd.oci.image.manifest.v1+json\",\"config\":",
      Descriptor("config.v1+json", Sha256(config), config.size()),
      ",\"layers\":[", absl::StrJoin(descriptors, ","), "]}");
  members.push_back(Blob(config));
  members.push_back(Blob(manifest));
  members.push_back(
      {.name = "index.json",
       .content = absl::StrCat(
           "{\"schemaVersion\":2,\"manifests\":[",
           Descriptor("manifest.v1+json", Sha256(manifest), manifest.size()),
           "]}"),
       .mode = 0644});
  return Tar(members);
}

std::string BusyboxLayer(const std::vector<std::string>& applets,
                         const std::vector<TarMember>& more) {
  std::vector<TarMember> members = {{.name = "bin", .type = '5'}};
  members.push_back(
      {.name = "bin/busybox",
       .content =
           base::ReadFileAt(AT_FDCWD, "/bin/busybox", 16 << 20).value_or("")});
  for (const std::string& applet : applets) {
    members.push_back(
        {.name = "bin/" + applet, .type = '2', .link = "busybox"});
  }
  members.insert(members.end(), more.begin(), more.end());
  return Tar(members);
}

}  // namespace warren::test
