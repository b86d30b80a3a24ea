/* The program of the bench's pause image: containerd keeps one per pod. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void Quit(int signal) {
  (void)signal;
  _exit(0);
}

static void Reap(int signal) {
  (void)signal;
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
}

int main(void) {
  signal(SIGINT, Quit);
  signal(SIGTERM, Quit);
  signal(SIGCHLD, Reap);
  for (;;) pause();
}
