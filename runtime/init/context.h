#ifndef WARREN_RUNTIME_INIT_CONTEXT_H_
#define WARREN_RUNTIME_INIT_CONTEXT_H_

#include "runtime/init/plan.h"

// Inside of runtime/init: what the steps share, and the steps themselves, one
// line each in the order of the table in steps.cc. All return 0 or errno.
namespace warren::init {

struct Context {
  const Plan& plan;
  int report_fd;            // -1 once closed
  const char* detail = "";  // what the running step is about
  int null_tree = -1;       // kMask: made by EnterTemplate; attached once,
                            // cloned from then on
  bool null_attached = false;
  int empty_dir = -1;  // kMask: one shared empty directory
  int stdio[3] = {-1, -1, -1};
};

// namespaces.cc
int HideFromTracers(Context* c);
int NewKeyring(Context* c);
int SetOomScore(Context* c);
int EnterCgroup(Context* c);
int EnterTemplate(Context* c);
int JoinUserNamespace(Context* c);
int JoinTarget(Context* c);
int JoinPidNamespace(Context* c);
int ForkFirst(Context* c);
int DieWithShim(Context* c);
int BecomeRoot();  // root of the user namespace that was just entered
int JoinNamespaces(Context* c);
int UnshareNamespaces(Context* c);

// mounts.cc
int AttachRootfs(Context* c);
int BuildMounts(Context* c);
int PivotRoot(Context* c);
int SealRootfs(Context* c);
int ShareRootfs(Context* c);

// mount_lock.cc
int LockMounts(Context* c);

// stdio.cc
int OpenStdio(Context* c);
int PlaceStdio(Context* c);

// identity.cc
// One write to a file of `proc_fd`, as the kernel takes it (proc_pid_attr(5)).
int WriteAttribute(int proc_fd, const char* name, const char* text);
int SetLimits(Context* c);
int SetSecurityLabels(Context* c);
int DropBounding(Context* c);
int SetIds(Context* c);
int SetCapabilities(Context* c);
int SetNoNewPrivs(Context* c);
int LoadSeccomp(Context* c);

// program.cc
int EnterWorkingDir(Context* c);
int NewSession(Context* c);
int CloseDescriptors(Context* c);
int LetGo(Context* c);
int ForkLast(Context* c);
int Execute(Context* c);

}  // namespace warren::init

#endif  // WARREN_RUNTIME_INIT_CONTEXT_H_
