// image pull
#include "agent/ctl/pull_command.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "agent/ctl/json.h"
#include "agent/ctl/pull_screen.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/status.h"

namespace warren::agent::ctl {
namespace {

// "user:password" of a file or standard input: on a command line everybody
// could read it.
absl::StatusOr<node::RegistryAuth> ReadCredentials(const std::string& path) {
  constexpr size_t kMaxBytes = 64 * 1024;
  base::UniqueFd file;
  if (path != "-") {
    ASSIGN_OR_RETURN(file, base::OpenAt(AT_FDCWD, path, O_RDONLY));
  }
  // lint: allow read: what the caller of the tool names, however long it waits
  ASSIGN_OR_RETURN(
      std::string text,
      base::ReadFd(path == "-" ? STDIN_FILENO : file.get(), kMaxBytes));
  text.erase(text.find_last_not_of("\r\n") + 1);
  const size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": want one line USER:PASSWORD"));
  }
  node::RegistryAuth auth;
  auth.set_username(text.substr(0, colon));
  auth.set_password(text.substr(colon + 1));
  return auth;
}

absl::StatusOr<int> PullCommand(Session& session, const std::string& reference,
                                const std::string& credentials) {
  node::PullImageRequest request;
  request.set_reference(reference);
  if (!credentials.empty()) {
    ASSIGN_OR_RETURN(*request.mutable_auth(), ReadCredentials(credentials));
  }
  ASSIGN_OR_RETURN(const node::PulledImage image, Pull(session, request));
  if (session.json) {
    session.out() << ToJson(image);
  } else {
    session.out() << image.image_id() << "\n";
  }
  return kExitOk;
}

}  // namespace

absl::StatusOr<node::PulledImage> Pull(Session& session,
                                       const node::PullImageRequest& request) {
  PullScreen screen(&session.err(), session.output.terminal);
  return session.client.PullImage(
      request, [&](const node::PullImageProgress& progress) {
        if (session.json) return;
        screen.Show(progress,
                    absl::Nanoseconds(base::SystemClock().MonotonicNow()));
      });
}

void AddPullCommand(CLI::App& image, Action* action) {
  CLI::App* pull = image.add_subcommand(
      "pull", "have the daemon fetch an image from its registry");
  auto reference = std::make_shared<std::string>();
  auto credentials = std::make_shared<std::string>();
  pull->add_option("IMAGE", *reference, "name[:tag] or name@digest")
      ->required();
  pull->add_option("--creds-file", *credentials,
                   "file with one line USER:PASSWORD, - for stdin");
  pull->callback([action, reference, credentials] {
    *action = [reference, credentials](Session& session) {
      return PullCommand(session, *reference, *credentials);
    };
  });
}

}  // namespace warren::agent::ctl
