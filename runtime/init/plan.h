#ifndef WARREN_RUNTIME_INIT_PLAN_H_
#define WARREN_RUNTIME_INIT_PLAN_H_

#include <linux/filter.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

// Everything the code between clone and exec needs, as plain arrays that the
// shim filled before the clone. Nothing here owns anything: the memory and the
// descriptors belong to the shim. Descriptors are -1 where there is none.
namespace warren::init {

struct Report;  // report.h

struct Join {
  uint64_t flag;  // one CLONE_NEW*
  int fd;
};

struct FsOption {
  const char* key;
  const char* value;  // nullptr = a flag
};

// See MountOp in shim.proto.
struct MountStep {
  enum Kind : uint8_t {
    kAttach = 1,
    kNewFs,
    kDevice,
    kSymlink,
    kMask,
    kReadonly,
  };
  Kind kind;
  bool target_is_file;
  const char* target;  // absolute, inside the root
  const char* what;    // for messages
  int fd;              // detached mount; -1: kDevice: mknod, kNewFs: fsopen
  const char* fs_type;
  const FsOption* options;  // kNewFs; kMask: at most one
  size_t option_count;
  uint64_t attributes;   // MOUNT_ATTR_*
  uint64_t propagation;  // MS_PRIVATE, MS_SLAVE, MS_SHARED; 0 = keep
  const char* source;
  mode_t mode;
  dev_t device;
  bool may_cover_proc;  // its target may be in a procfs (FS-6)
  int peer_fd;  // kAttach: whose peer group it joins at the end; -1 = none
  const char* root_label;  // kNewFs: SELinux label of its root; nullptr = none
};

struct Limit {
  int resource;
  uint64_t soft;
  uint64_t hard;
};

// The program and who it is.
struct ProgramPlan {
  const char* const* args;  // nullptr-terminated, at least one
  const char* const* env;
  const char* search_path;  // PATH of env
  const char* cwd;          // absolute
  uint32_t uid;
  uint32_t gid;
  const gid_t* groups;
  size_t group_count;
  uint64_t cap_bounding;
  uint64_t cap_effective;
  uint64_t cap_ambient;
  bool no_new_privs;
  // What is written to the attributes of the security modules: "exec NAME"
  // and a whole context. nullptr = none.
  const char* apparmor_exec;
  const char* selinux_exec;
  sock_fprog seccomp;      // len 0 = none
  uint32_t seccomp_flags;  // SECCOMP_FILTER_FLAG_*
  const Limit* limits;
  size_t limit_count;
  bool set_oom_score_adj;
  int32_t oom_score_adj;
};

struct Plan {
  bool container;  // false: an exec session
  int report_fd;   // SEQPACKET, CLOEXEC; closed before the last fork
  // Write end of a pipe, CLOEXEC: its end of file tells that execve worked, or
  // that nobody is left who could. Nothing is ever written.
  int alive_fd;
  // Shared with the shim, which reads it after that: a filter may forbid to
  // send that execve failed. Others may have written to it, see ForkLast.
  Report* last_words;
  // Shared with the shim, in a page of its own: the process that goes on, when
  // one is forked. 0 until then. The program has no part in it.
  pid_t* forked;

  // Written with "0" (= myself) and read back, one per v1 hierarchy.
  const int* cgroup_procs_fds;
  size_t cgroup_procs_count;
  // A private procfs of the shim's pid namespace, for oom_score_adj, the labels
  // of security modules (FS-3) and mount_lock_fd.
  int proc_fd;

  // Entered before the fork. exec: the target's namespaces, all at once.
  int template_mnt_fd;
  int user_fd;
  int pid_fd;
  int target_pidfd;
  uint64_t target_flags;
  // Two places to fork once more, as a child of the shim (CLONE_PARENT); one at
  // most. First: into a pid namespace where nobody can look yet, which is made
  // there with CLONE_NEWPID. Last: into one with others in it.
  bool fork_first;
  uint64_t fork_flags;  // 0 or CLONE_NEWPID
  bool fork_last;

  const Join* joins;  // the other namespaces
  size_t join_count;
  uint64_t unshare_flags;

  int rootfs_fd;
  bool readonly_rootfs;
  uint64_t rootfs_propagation;
  const MountStep* mounts;
  size_t mount_count;
  // Whom to ask for a copy of the finished tree that root of the user namespace
  // cannot undo (mount_lock.h); -1: there is no user namespace.
  int mount_lock_fd;
  // The null device that covers masked files, a path in the template; nullptr:
  // no file can be masked.
  const char* null_path;

  // stdin, stdout, stderr of an exec; [0] is also a container's stdin when
  // !stdin_open.
  int stdio_fds[3];
  bool tty;  // a terminal of the container's devpts instead of the above
  // Of an exec's terminal; both 0 = the kernel's default.
  uint16_t terminal_rows;
  uint16_t terminal_columns;
  bool stdin_open;

  ProgramPlan program;
};

}  // namespace warren::init

#endif  // WARREN_RUNTIME_INIT_PLAN_H_
