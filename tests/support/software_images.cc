#include "tests/support/software_images.h"

#include <absl/strings/str_cat.h>

#include "tests/support/command.h"
#include "tests/support/host_file.h"
#include "tests/support/warrend_process.h"

namespace warren::test {
namespace {

constexpr char kDirectory[] = WARREN_TEST_IMAGES;

std::string ArchivePath(const std::string& name) {
  return absl::StrCat(kDirectory, "/", name, ".tar");
}

}  // namespace

std::string SoftwareReference(const std::string& name) {
  return absl::StrCat("debian.test/", name, ":1");
}

std::string MissingSoftware(const std::string& name) {
  if (HostFileExists(ArchivePath(name))) return "";
  const std::string why =
      ReadHostFile(absl::StrCat(kDirectory, "/unavailable"));
  return absl::StrCat(
      "no image of ", name, ": ",
      why.empty() ? "tests/support/images/build_images.py has not run" : why);
}

absl::Status ImportSoftware(CriClient& client, const WarrendProcess& daemon,
                            const std::string& name) {
  cri::ImageStatusRequest request;
  request.mutable_image()->set_image(SoftwareReference(name));
  const auto known = client.Call<cri::ImageStatusResponse>(request);
  if (!known.ok() || known->has_image()) return known.status();
  // Not CriClient::ImportImage: that holds an archive in memory.
  const CommandResult result = RunCommand(
      {BinaryDirectory() + "/warrenctl", "--socket", daemon.socket(), "image",
       "import", ArchivePath(name), "--ref", SoftwareReference(name)});
  if (result.exit_code == 0) return absl::OkStatus();
  return absl::InternalError("warrenctl image import: " + result.err);
}

}  // namespace warren::test
