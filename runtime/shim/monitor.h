#ifndef WARREN_RUNTIME_SHIM_MONITOR_H_
#define WARREN_RUNTIME_SHIM_MONITOR_H_

#include <sys/types.h>

#include <cstdint>

#include "runtime/base/unique_fd.h"
#include "runtime/shim/cpu_share.h"
#include "runtime/shim/exit_file.h"
#include "runtime/shim/log_file.h"
#include "runtime/shim/log_framer.h"
#include "runtime/shim/spawn.h"
#include "runtime/shim/stream_clients.h"

namespace warren::shim {

// Where the shim listens, in the run directory of its container.
inline constexpr char kSocketName[] = "shim.sock";

// Counter of the OOM killer in the container's cgroup: the number behind
// "oom_kill" in memory.events (v2) or memory.oom_control (v1). Borrowed `fd`;
// -1 (and a file without the line) reads as 0.
uint64_t ReadOomKills(int fd);

// Looks after a running container: writes its log, copies its output to
// streams, feeds its stdin, answers at shim.sock, reaps what ends, and, when
// the first process has ended, drains the output and leaves exit.pb. Depends on
// nobody: the agent may come and go, and a client that does not read or write
// holds nothing up. When it has used its share of a processor it leaves the
// output in the pipes for a while, and does everything else meanwhile. Its
// memory is what a node pays per container. Single-threaded.
class Monitor {
 public:
  static constexpr int kStreams = 2;

  // Borrowed.
  struct Buffers {
    FramerBuffer streams[kStreams];
    InputBuffer input;
  };
  // What a launch leaves to the monitor; owned.
  struct Kept {
    Program program;
    bool tty = false;  // program.stdio is a terminal's master
    base::UniqueFd run_dir;
    base::UniqueFd listener;
    base::UniqueFd signals;  // a signalfd for SIGCHLD
    ExitFile exit_file;      // reserved in run_dir
    base::UniqueFd oom;
    uint64_t oom_kills = 0;    // the counter before the start
    uint32_t cpu_percent = 0;  // CpuShare
  };

  Monitor(Kept kept, LogFile* log, Buffers* buffers);
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  // Returns after the container has ended and its exit record is written.
  void Run();

 private:
  static constexpr int kMaxCommandClients = 8;
  // After the first process: how long a silent, and how long a chatty
  // grandchild that holds the pipes may keep us.
  static constexpr int kDrainIdleMs = 100;
  static constexpr int kDrainMaxMs = 2000;
  // How long the death of what the program left behind may take.
  static constexpr int kOrphansMaxMs = 1000;

  void Turn();
  // Takes what was used since the last turn out of the share: output was read.
  // While output `waits`, time passes and nothing is used for it.
  void AccountForOutput(bool waits);
  // What was used since then was for commands and input.
  void ForgiveOthers();
  // Reads a stream once; false when nothing was there.
  bool ReadStream(int index);
  void Reap();
  void AcceptClient();
  // A place for one more; when all are taken, the one that has been silent for
  // the longest makes room. Streams are not among them.
  base::UniqueFd* FreePlace();
  void ServeClient(base::UniqueFd* client);
  // The answer to `command`, which came over `client`; takes that over when it
  // becomes a stream.
  void Answer(const v1::Command& command, base::UniqueFd fd,
              base::UniqueFd* client, v1::Reply* reply);
  void Introduce(v1::Reply* reply) const;
  void EndOrphans();
  void Drain();
  void WriteExitFile();

  Kept kept_;
  LogFile* log_;
  // Of commands; the one that spoke last is the last of them.
  base::UniqueFd clients_[kMaxCommandClients];
  LogFramer framers_[kStreams];
  ProgramInput input_;
  StreamClients streams_;
  CpuShare share_;
  bool ended_ = false;
  int wait_status_ = 0;
  int64_t finished_at_ns_ = 0;
};

// Exit code (128 + n for signal n) and signal of a wait status.
void DescribeExit(int wait_status, v1::Exited* exited);

}  // namespace warren::shim

#endif  // WARREN_RUNTIME_SHIM_MONITOR_H_
