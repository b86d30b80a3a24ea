// images, image import, image rm
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "agent/ctl/archive.h"
#include "agent/ctl/json.h"
#include "agent/ctl/pull_command.h"
#include "agent/ctl/session.h"
#include "agent/ctl/table.h"
#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::agent::ctl {
namespace {

absl::StatusOr<int> ListImages(Session& session) {
  ASSIGN_OR_RETURN(const cri::ListImagesResponse images,
                   session.client.ListImages());
  if (session.json) {
    session.out() << ToJson(images);
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows = {
      {"IMAGE", "ID", "SIZE", "PINNED"}};
  for (const cri::Image& image : images.images()) {
    const std::vector<std::string> tags(image.repo_tags().begin(),
                                        image.repo_tags().end());
    rows.push_back({tags.empty() ? "<none>" : absl::StrJoin(tags, ","),
                    ShortId(image.id()), FormatBytes(image.size()),
                    image.pinned() ? "yes" : ""});
  }
  session.out() << FormatTable(rows);
  return kExitOk;
}

// A file as it is, "-" for standard input, a directory as a tar made on the
// way.
absl::Status Send(const std::string& path, const Client::Sink& sink) {
  if (path == "-") return CopyFd(STDIN_FILENO, sink);
  ASSIGN_OR_RETURN(const base::UniqueFd fd,
                   base::OpenAt(AT_FDCWD, path, O_RDONLY));
  struct stat facts = {};
  if (::fstat(fd.get(), &facts) != 0) return base::ErrnoError(errno, path);
  return S_ISDIR(facts.st_mode) ? WriteLayoutTar(fd.get(), sink)
                                : CopyFd(fd.get(), sink);
}

absl::StatusOr<int> Import(Session& session, const std::string& path,
                           const std::string& reference) {
  ASSIGN_OR_RETURN_IN(const node::ImportImageResponse response,
                      session.client.ImportImage(reference,
                                                 [&](const Client::Sink& sink) {
                                                   return Send(path, sink);
                                                 }),
                      absl::StrCat("import ", path));
  if (session.json) {
    session.out() << ToJson(response);
  } else {
    session.out() << response.image_id() << "\n";
    for (const std::string& remark : response.remarks()) {
      session.err() << "note: " << remark << "\n";
    }
  }
  return kExitOk;
}

// CRI's RemoveImage is content with a missing image; a person wants to know.
absl::StatusOr<int> Remove(Session& session,
                           const std::vector<std::string>& images) {
  std::vector<std::string> done;
  for (const std::string& image : images) {
    ASSIGN_OR_RETURN(const cri::ImageStatusResponse status,
                     session.client.ImageStatus(image));
    if (!status.has_image()) {
      return absl::NotFoundError(absl::StrCat("no image \"", image, "\""));
    }
    RETURN_IF_ERROR_IN(session.client.RemoveImage(image),
                       absl::StrCat("remove image ", image));
    done.push_back(status.image().id());
    if (!session.json) session.out() << done.back() << "\n";
  }
  if (session.json) session.out() << IdsToJson("imageIds", done);
  return kExitOk;
}

}  // namespace

void AddImageCommands(CLI::App& app, Action* action) {
  app.add_subcommand("images", "images of this node")->callback([action] {
    *action = ListImages;
  });

  CLI::App* image =
      app.add_subcommand("image", "pull, import and remove images");
  image->require_subcommand(1);
  AddPullCommand(*image, action);
  CLI::App* import = image->add_subcommand(
      "import", "put an OCI image layout into the daemon's store");
  auto path = std::make_shared<std::string>();
  auto reference = std::make_shared<std::string>();
  import
      ->add_option("PATH", *path, "tar file, layout directory, or - for stdin")
      ->required();
  import->add_option("--ref", *reference, "name[:tag] it gets")->required();
  import->callback([action, path, reference] {
    *action = [path, reference](Session& session) {
      return Import(session, *path, *reference);
};
}  // namespace warren::agent::ctl
);

CLI::App* rm = image->add_subcommand("rm", "remove images, all tags of each");
auto images = std::make_shared<std::vector<std::string>>();
rm->add_option("IMAGE", *images, "name[:tag], name@digest or id")->required();
rm->callback([action, images] {
  *action = [images](Session& session) { return Remove(session, *images); };
});
}

}  // namespace warren::agent::ctl
