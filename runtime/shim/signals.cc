#include "runtime/shim/signals.h"

#include <signal.h>
#include <sys/signalfd.h>

#include <cerrno>

namespace warren::shim {

void IgnoreSignals() {
  for (const int signal :
       {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM}) {
    struct sigaction action = {};
    action.sa_handler = SIG_IGN;
    sigaction(signal, &action, nullptr);
  }
}

Failure WatchChildren(base::UniqueFd* signals) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signals->reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  return signals->valid() ? Failure{} : Fail("watch children", errno);
}

}  // namespace warren::shim
