#include "agent/cri/signal_names.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/strip.h>

#include <csignal>
#include <string>

#include "agent/cri/validate.h"

namespace warren::agent {
namespace {

struct Named {
  absl::string_view name;
  int number;
};
// The usual name of a number comes before its synonyms.
constexpr Named kNamed[] = {
    {"ABRT", SIGABRT},     {"ALRM", SIGALRM},     {"BUS", SIGBUS},
    {"CHLD", SIGCHLD},     {"CLD", SIGCHLD},      {"CONT", SIGCONT},
    {"FPE", SIGFPE},       {"HUP", SIGHUP},       {"ILL", SIGILL},
    {"INT", SIGINT},       {"IO", SIGIO},         {"IOT", SIGABRT},
    {"KILL", SIGKILL},     {"PIPE", SIGPIPE},     {"POLL", SIGPOLL},
    {"PROF", SIGPROF},     {"PWR", SIGPWR},       {"QUIT", SIGQUIT},
    {"SEGV", SIGSEGV},     {"STKFLT", SIGSTKFLT}, {"STOP", SIGSTOP},
    {"SYS", SIGSYS},       {"TERM", SIGTERM},     {"TRAP", SIGTRAP},
    {"TSTP", SIGTSTP},     {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU},
    {"URG", SIGURG},       {"USR1", SIGUSR1},     {"USR2", SIGUSR2},
    {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH},   {"XCPU", SIGXCPU},
    {"XFSZ", SIGXFSZ}};
// What a program inside calls SIGRTMIN; the C library keeps 32 and 33.
constexpr int kRtMin = 34;
constexpr int kRtMax = 64;

// SimpleAtoi lets signs and blanks through.
// "RTMIN", "RTMIN+3" or, as in CRI's names, "RTMINPLUS3"; 0 = none of these.
int RealTime(absl::string_view name) {
  const bool from_min = absl::ConsumePrefix(&name, "RTMIN");
  if (!from_min && !absl::ConsumePrefix(&name, "RTMAX")) return 0;
  int offset = 0;
  if (!name.empty()) {
    const bool sign = from_min ? absl::ConsumePrefix(&name, "+") ||
                                     absl::ConsumePrefix(&name, "PLUS")
                               : absl::ConsumePrefix(&name, "-") ||
                                     absl::ConsumePrefix(&name, "MINUS");
    if (!sign || name.empty() || name.size() > 2 || !AllDigits(name) ||
        !absl::SimpleAtoi(name, &offset)) {
      return 0;
    }
  }
  const int number = from_min ? kRtMin + offset : kRtMax - offset;
  return number >= kRtMin && number <= kRtMax ? number : 0;
}

}  // namespace

int SignalByName(absl::string_view name) {
  int number = 0;
  if (!name.empty() && absl::ascii_isdigit(name[0])) {
    return AllDigits(name) && absl::SimpleAtoi(name, &number) &&
                   number <= kRtMax
               ? number
               : 0;
  }
  const std::string upper = absl::AsciiStrToUpper(name);
  const absl::string_view bare = absl::StripPrefix(upper, "SIG");
  for (const Named& named : kNamed) {
    if (named.name == bare) return named.number;
  }
  return RealTime(bare);
}

int SignalFromCri(cri::Signal signal) {
  // The numbers are wire facts, the names carry the meaning.
  const std::string& name = cri::Signal_Name(signal);  // SIGNAL_SIGTERM
  absl::string_view bare = name;
  if (!absl::ConsumePrefix(&bare, "SIGNAL_SIG")) return 0;
  return SignalByName(bare);
}

cri::Signal SignalToCri(int number) {
  if (number > 0) {
    for (int i = cri::Signal_MIN; i <= cri::Signal_MAX; ++i) {
      const auto signal = static_cast<cri::Signal>(i);
      if (cri::Signal_IsValid(i) && SignalFromCri(signal) == number) {
        return signal;
      }
    }
  }
  return cri::SIGNAL_RUNTIME_DEFAULT;
}

}  // namespace warren::agent
