#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/init/context.h"
#include "runtime/init/report.h"
#include "runtime/init/target.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

namespace warren::init {
namespace {

// One pipe that the program's user owns, so that it can open /dev/stdout
// again. `ours` is the end that goes to the shim.
int ProgramPipe(const ProgramPlan& program, bool program_reads, int* theirs,
                int* ours) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  *theirs = ends[program_reads ? 0 : 1];
  *ours = ends[program_reads ? 1 : 0];
  return fchown(*theirs, program.uid, program.gid) == 0 ? 0 : errno;
}

int SendToShim(Context* c, const int* fds, size_t count) {
  Report report = {};
  report.kind = ReportKind::kStdio;
  const int error = SendReport(c->report_fd, report, fds, count);
  for (size_t i = 0; i < count; ++i) close(fds[i]);
  return error;
}

int OpenPipes(Context* c) {
  int ours[kStdioFdsMax] = {};
  size_t count = 2;
  const ProgramPlan& program = c->plan.program;
  int error = ProgramPipe(program, false, &c->stdio[1], &ours[kStdoutRead]);
  if (error == 0) {
    error = ProgramPipe(program, false, &c->stdio[2], &ours[kStderrRead]);
  }
  if (error == 0 && c->plan.stdin_open) {
    error = ProgramPipe(program, true, &c->stdio[0], &ours[kStdinWrite]);
    ++count;
  }
  if (!c->plan.stdin_open) c->stdio[0] = c->plan.stdio_fds[0];
  return error != 0 ? error : SendToShim(c, ours, count);
}

// FS-5: the master comes from the devpts at /dev/pts, checked to be one before
// anything is opened; the peer comes from the master by TIOCGPTPEER. No other
// path below `root` decides what is opened, and nothing that was put over ptmx
// is.
int OpenTerminal(Context* c, int root, int* master, int* peer) {
  c->detail = "/dev/pts";
  const int devpts = OpenInside(root, "/dev/pts", O_PATH | O_DIRECTORY, 0);
  if (devpts < 0) return errno;
  struct statfs fs;
  if (fstatfs(devpts, &fs) != 0) return errno;
  if (fs.f_type != DEVPTS_SUPER_MAGIC) return EXDEV;
  c->detail = "/dev/pts/ptmx";
  *master = OpenInside(devpts, "ptmx", O_RDWR | O_NOCTTY,
                       RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
  if (*master < 0) return errno;
  close(devpts);
  const int unlocked = 0;
  if (ioctl(*master, TIOCSPTLCK, &unlocked) != 0) return errno;
  *peer = ioctl(*master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (*peer < 0) return errno;
  // The group stays what the devpts instance says (gid=5, tty).
  if (fchown(*peer, c->plan.program.uid, static_cast<gid_t>(-1)) != 0) {
    return errno;
  }
  return 0;
}

// Makes it all of stdio; the controlling terminal it becomes with the session.
int UseTerminal(Context* c, int master, int peer) {
  for (int& fd : c->stdio) fd = peer;
  return SendToShim(c, &master, 1);
}

// An exec session's.
int OpenSessionTerminal(Context* c, int root) {
  int master;
  int peer;
  const int error = OpenTerminal(c, root, &master, &peer);
  if (error != 0) return error;
  winsize size = {};
  size.ws_row = c->plan.terminal_rows;
  size.ws_col = c->plan.terminal_columns;
  if (size.ws_row + size.ws_col > 0 && ioctl(peer, TIOCSWINSZ, &size) != 0) {
    return errno;
  }
  return UseTerminal(c, master, peer);
}

// A container's. /dev/console is a bind of the very descriptor of the peer.
int OpenConsole(Context* c, int root) {
  int master;
  int peer;
  const int opened = OpenTerminal(c, root, &master, &peer);
  if (opened != 0) return opened;
  c->detail = "/dev/console";
  const int tree = open_tree(peer, "",
                             static_cast<unsigned>(AT_EMPTY_PATH) |
                                 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) return errno;
  int target;
  const int error =
      OpenTarget(root, "/dev/console",
                 {.create = true, .is_file = true, .no_links = true}, &target);
  if (error != 0) return error;
  if (move_mount(tree, "", target, "",
                 MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return errno;
  }
  close(target);
  close(tree);
  return UseTerminal(c, master, peer);
}

// The root is that of the mount namespace that the program will be in: a
// terminal that came from another one would have no name inside.
int UseOwnTerminal(Context* c) {
  c->detail = "/";
  const int root = openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return errno;
  const int error =
      c->plan.container ? OpenConsole(c, root) : OpenSessionTerminal(c, root);
  close(root);
  return error;
}

}  // namespace

// A container's own pipes or terminal; an exec brings its descriptors along, or
// gets a terminal.
int OpenStdio(Context* c) {
  if (c->plan.tty) return UseOwnTerminal(c);
  if (c->plan.container) return OpenPipes(c);
  for (int i = 0; i < 3; ++i) c->stdio[i] = c->plan.stdio_fds[i];
  return 0;
}

int PlaceStdio(Context* c) {
  for (int i = 0; i < 3; ++i) {
    if (c->stdio[i] == i) {
      if (fcntl(i, F_SETFD, 0) != 0) return errno;
    } else if (dup2(c->stdio[i], i) < 0) {
      return errno;
    }
  }
  return 0;
}

}  // namespace warren::init
