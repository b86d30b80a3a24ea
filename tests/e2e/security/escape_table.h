#ifndef WARREN_TESTS_E2E_SECURITY_ESCAPE_TABLE_H_
#define WARREN_TESTS_E2E_SECURITY_ESCAPE_TABLE_H_

#include <set>
#include <span>
#include <string>
#include <vector>

namespace warren::test {

// A way to run a container that tries to get out.
struct EscapeMode {
  // What it may do:
  //   d  the defaults, with the masked and read-only paths a kubelet sends
  //   x  the same with all capabilities dropped
  //   c  with NET_ADMIN, SYS_PTRACE, DAC_READ_SEARCH and SYS_CHROOT added
  //   u  in a user namespace with every capability
  //   r  privileged in a user namespace: nothing is masked, never a filter
  //   n  in the node's network namespace
  char rights = 'd';
  // Its pid namespace: o  its own, s  the pod's, t  that of another container,
  // p  the node's.
  char pid = 'o';
  bool filter = true;  // RuntimeDefault, else unconfined

  std::string Name() const;
};

// Every pid namespace with and without filter, for all rights. Not c with p:
// SYS_PTRACE among the node's processes is the node, by request. The kernel
// refuses u and r with p.
std::vector<EscapeMode> EscapeModes();

// What one attempt of warren_escape_probe must come to.
struct EscapeRow {
  const char* attempt;
  // Refusals beside EPERM, EACCES and ENOSYS: names, blanks between.
  const char* also = "";
  // Rights and pid namespaces that may do it, because what they get at is
  // theirs or was given to them by the request.
  const char* granted = "";
  // Only the seccomp filter refuses it.
  bool filter = false;

  bool IsRefusal(const std::string& answer) const;
};

std::span<const EscapeRow> EscapeTable();

// The attempts that may succeed in this mode.
std::set<std::string> GrantedTo(const EscapeMode& mode);

// The attempts that may succeed with this capability alone and with the filter.
// Names are without "CAP_".
std::set<std::string> GrantedBy(const std::string& capability);

}  // namespace warren::test

#endif  // WARREN_TESTS_E2E_SECURITY_ESCAPE_TABLE_H_
