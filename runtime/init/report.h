#ifndef WARREN_RUNTIME_INIT_REPORT_H_
#define WARREN_RUNTIME_INIT_REPORT_H_

#include <cstddef>
#include <cstdint>

// What the code between clone and exec tells the shim: fixed-size records on
// a close-on-exec SEQPACKET socket, so that end-of-file without a kFailed
// record means that execve worked.
namespace warren::init {

enum class ReportKind : uint32_t {
  kFailed = 1,  // step, error, detail; the sender exits
  kForked = 2,  // pid of the pod init; the sandbox maker exits
  kStdio = 3,   // descriptors: see StdioFds
  kProcfs = 5,  // one descriptor: detached, of the pod init's pid namespace
  kReady = 4,   // step: reached (sandbox maker, pod init); waits for a go
  kMounts = 6,  // one descriptor: a mount namespace, see mount_lock.h
};

// Descriptors that travel with kStdio, in this order. With a tty only the
// first: the pty's master side.
enum StdioFds : uint32_t {
  kStdoutRead = 0,
  kTtyMaster = 0,
  kStderrRead = 1,
  kStdinWrite = 2,  // only when the plan says stdin_open
  kStdioFdsMax = 3,
};

struct Report {
  ReportKind kind;
  int32_t error;  // errno
  int32_t pid;
  char step[24];
  char detail[220];
};

// Sends one record with up to kStdioFdsMax descriptors. Returns 0 or errno.
int SendReport(int socket, const Report& report, const int* fds,
               size_t fd_count);

// Receives one record. Returns 1, 0 at end of file, or -1 with errno set: a
// record of another size, or with more than kStdioFdsMax descriptors, is
// EBADMSG; no room for a descriptor is EMFILE. `fds` has room for kStdioFdsMax
// and gets -1 where nothing came, and on an error; received descriptors are
// CLOEXEC.
int ReceiveReport(int socket, Report* report, int* fds);

// strlcpy: copies what fits and terminates it.
void CopyText(char* to, size_t size, const char* from);

}  // namespace warren::init

#endif  // WARREN_RUNTIME_INIT_REPORT_H_
