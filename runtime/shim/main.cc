// warren-shim: one process per container or exec session, and a short-lived
// one per pod sandbox. See README.md. Takes no arguments: everything comes
// over the launch socket, descriptor 3.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "runtime/shim/container.h"
#include "runtime/shim/exec_session.h"
#include "runtime/shim/sandbox.h"
#include "runtime/shim/signals.h"
#include "runtime/shim/wire.h"

namespace {

constexpr int kLaunchSocket = 3;

int Dispatch(std::unique_ptr<warren::shim::LaunchInput> input,
             warren::base::UniqueFd socket, char** argv) {
  using warren::shim::v1::LaunchRequest;
  switch (input->request.mode_case()) {
    case LaunchRequest::kSandbox:
      return warren::shim::RunSandbox(std::move(input), std::move(socket),
                                      argv[0]);
    case LaunchRequest::kContainer:
      return warren::shim::RunContainer(std::move(input), std::move(socket));
    case LaunchRequest::kExec:
      return warren::shim::RunExec(std::move(input), std::move(socket));
    default:
      warren::shim::SendFailure(socket.get(),
                                warren::shim::Fail("launch", EINVAL, "mode"));
      return 1;
  }
}

}  // namespace

int main(int, char** argv) {
  warren::base::UniqueFd socket(kLaunchSocket);
  struct stat st;
  if (fstat(socket.get(), &st) != 0 || !S_ISSOCK(st.st_mode)) {
    constexpr char kText[] =
        "warren-shim is started by warrend, with a socket as descriptor 3\n";
    (void)!write(STDERR_FILENO, kText, sizeof(kText) - 1);
    return 2;
  }
  // EXE-3: whatever else was inherited is not for us.
  close_range(kLaunchSocket + 1, ~0U, 0);
  fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
  // EXE-2 from the first moment: nothing may look into this process.
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  prctl(PR_SET_NAME, "warren-shim", 0, 0, 0);
  warren::shim::IgnoreSignals();
  umask(022);
  // Pins no mount of the agent's.
  if (chdir("/") != 0) return 2;
  auto input = std::make_unique<warren::shim::LaunchInput>();
  const warren::shim::Failure failure =
      warren::shim::ReceiveLaunch(socket.get(), input.get());
  if (failure.failed()) {
    warren::shim::SendFailure(socket.get(), failure);
    return 1;
  }
  return Dispatch(std::move(input), std::move(socket), argv);
}
