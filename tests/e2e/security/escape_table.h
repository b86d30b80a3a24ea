#ifndef WARREN_TESTS_E2E_SECURITY_ESCAPE_TABLE_H_
#define WARREN_TESTS_E2E_SECURITY_ESCAPE_TABLE_H_

#include <span>
#include <string>

namespace warren::test {

// Kinds of containers that try:
//   d  the defaults, with the masked and read-only paths a kubelet sends
//   c  with NET_ADMIN, SYS_PTRACE, DAC_READ_SEARCH and SYS_CHROOT added
//   u  in a user namespace with every capability
//   n  in the node's network namespace
//   p  in the node's pid namespace
inline constexpr char kEscapeKinds[] = {'d', 'c', 'u', 'n', 'p'};

// What one attempt of warren_escape_probe must come to.
struct EscapeRow {
  const char* attempt;
  // Refusals beside EPERM, EACCES and ENOSYS: names, blanks between.
  const char* also = "";
  // Kinds of containers that may do it, because what they get at is theirs or
  // was given to them by the request.
  const char* granted = "";
  // Only the seccomp filter refuses it.
  bool filter = false;

  bool IsGranted(char kind) const;
  bool IsRefusal(const std::string& answer) const;
};

std::span<const EscapeRow> EscapeTable();

}  // namespace warren::test

#endif  // WARREN_TESTS_E2E_SECURITY_ESCAPE_TABLE_H_
