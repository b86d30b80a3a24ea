#ifndef WARREN_TESTS_SUPPORT_OCI_IMAGE_H_
#define WARREN_TESTS_SUPPORT_OCI_IMAGE_H_

#include <string>
#include <vector>

// Small OCI images, also odd ones, made in memory. Pure; single-threaded.
namespace warren::test {

// One member of a tar file.
struct TarMember {
  std::string name = {};
  std::string content = {};  // of a regular file
  char type = '0';        // '0' file, '5' directory, '2' symlink, '1' hard link
  std::string link = {};  // target of a link
  unsigned mode = 0755;
  unsigned uid = 0;
  unsigned gid = 0;
};
std::string Tar(const std::vector<TarMember>& members);

struct OciImage {
  // Value of "config" in the image configuration: {"User":"app", …}.
  std::string config_json = "{}";
  std::vector<std::string> layers = {};  // tar bytes, lowest first
  // Replaces the digest of the first layer in the manifest when not empty.
  std::string forged_layer_digest = {};
  // Replaces the first diff ID in the configuration when not empty.
  std::string forged_diff_id = {};
};
// A tar of the OCI layout, to be given to ImportImage.
std::string OciArchive(const OciImage& image);

// A layer with the machine's static busybox as /bin/busybox, the applets
// `applets` as links to it, and `more`.
std::string BusyboxLayer(const std::vector<std::string>& applets,
                         const std::vector<TarMember>& more);

// "sha256:<64 hex>".
std::string Sha256(const std::string& bytes);

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_OCI_IMAGE_H_
