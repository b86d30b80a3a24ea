#include "runtime/shim/container.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "runtime/shim/log_file.h"
#include "runtime/shim/monitor.h"
#include "runtime/shim/plan_builder.h"
#include "runtime/shim/shift_owners.h"
#include "runtime/shim/signals.h"
#include "runtime/shim/spawn.h"

namespace warren::shim {
namespace {

// Static storage, page-aligned: pages of an idle container's buffers are never
// touched.
constexpr size_t kPage = 4096;
alignas(kPage) LogFile::Buffer g_log_buffer;
alignas(kPage) Monitor::Buffers g_buffers;

// Gives back the pages that the launch left behind: free heap, and the stack
// below the caller's frame (which is gone for good by then).
[[gnu::noinline]] void ReleaseLaunchMemory() {
  malloc_trim(0);
  constexpr uintptr_t kDepth = 1 << 20;  // deeper than any launch went
  const auto frame = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  // Two pages stay, for this function and the calls it makes.
  const uintptr_t top = (frame & ~(kPage - 1)) - 2 * kPage;
  // What was never mapped (ENOMEM) needs no release.
  for (uintptr_t at = top; at > top - kDepth; at -= kPage) {
    if (madvise(reinterpret_cast<void*>(at), kPage, MADV_DONTNEED) != 0) break;
  }
}

// Of one that was not given there is no copy.
Failure Dup(int fd, const char* step, base::UniqueFd* copy) {
  if (fd < 0) return {};
  copy->reset(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  return copy->valid() ? Failure{} : Fail(step, errno);
}

// The name is reached through /proc/self/fd: sun_path is short.
Failure Listen(int run_dir, base::UniqueFd* listener) {
  base::UniqueFd fd(
      socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Fail("listen", errno);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
           run_dir, kSocketName);
  unlinkat(run_dir, kSocketName, 0);
  const mode_t mask = umask(0177);
  const int bound =
      bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address));
  const int error = errno;
  umask(mask);
  if (bound != 0) return Fail("listen", error);
  if (listen(fd.get(), 8) != 0) return Fail("listen", errno);
  *listener = std::move(fd);
  return {};
}

Failure OpenEverything(const LaunchInput& input, Monitor::Kept* kept,
                       LogFile* log) {
  const v1::ContainerLaunch& container = input.request.container();
  kept->tty = container.tty();
  kept->cpu_percent = container.log_cpu_percent();
  Failure failure =
      Dup(input.Fd(container.run_dir_fd()), "run_dir", &kept->run_dir);
  if (failure.failed()) return failure;
  if (!kept->run_dir.valid()) return Fail("run_dir", EBADF);
  failure = Dup(input.Fd(container.oom_fd()), "oom", &kept->oom);
  if (failure.failed()) return failure;
  kept->oom_kills = ReadOomKills(kept->oom.get());
  if (container.log_dir_fd() != 0) {
    base::UniqueFd log_dir;
    failure = Dup(input.Fd(container.log_dir_fd()), "log", &log_dir);
    if (!failure.failed()) {
      failure = log->Open(std::move(log_dir), container.log_name());
    }
    if (failure.failed()) return failure;
  }
  failure = kept->exit_file.Reserve(kept->run_dir.get());
  if (failure.failed()) return failure;
  return Listen(kept->run_dir.get(), &kept->listener);
}

// Everything up to the program's execve.
Failure Launch(const LaunchInput& input, int launch_socket, Monitor::Kept* kept,
               LogFile* log) {
  const v1::ContainerLaunch& container = input.request.container();
  PlanBuilder builder(input);
  Failure failure = builder.BuildContainer();
  base::UniqueFd null;
  if (!failure.failed()) failure = builder.OpenNull(&null);
  if (!failure.failed()) failure = builder.MountProcfs();
  if (!failure.failed()) failure = OpenEverything(input, kept, log);
  if (!failure.failed()) {
    failure = ShiftOwners(builder.plan().rootfs_fd, container.shift_uids(),
                          container.shift_gids());
  }
  if (failure.failed()) return failure;
  builder.plan().stdio_fds[0] = null.get();
  return StartProgram(&builder, launch_socket, &kept->program);
}

}  // namespace

int RunContainer(std::unique_ptr<LaunchInput> input,
                 base::UniqueFd launch_socket) {
  Monitor::Kept kept;
  LogFile log(&g_log_buffer);
  Failure failure = WatchChildren(&kept.signals);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  if (!failure.failed()) {
    failure = Launch(*input, launch_socket.get(), &kept, &log);
  }
  if (failure.failed()) {
    if (kept.listener.valid()) unlinkat(kept.run_dir.get(), kSocketName, 0);
    kept.exit_file.Discard(kept.run_dir.get());
    SendFailure(launch_socket.get(), failure);
    return 1;
  }
  // From here on the container runs, whoever listens.
  {
    v1::Event event;
    Describe(kept.program, event.mutable_started());
    SendPacket(launch_socket.get(), event);
  }
  launch_socket.reset();
  input.reset();
  Monitor monitor(std::move(kept), &log, &g_buffers);
  ReleaseLaunchMemory();
  monitor.Run();
  return 0;
}

}  // namespace warren::shim
