#ifndef WARREN_AGENT_CRI_SIGNAL_NAMES_H_
#define WARREN_AGENT_CRI_SIGNAL_NAMES_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include "agent/cri/cri.h"

// Stop signals. CRI numbers them in alphabetical order, Linux does not: they
// meet by name only. Pure.
namespace warren::agent {

// Linux number of "SIGTERM", "term", "15", "SIGRTMIN+3", "RTMAX-1" (as images
// write it); 0 = no such signal. SIGRTMIN is 34, as programs see it with
// glibc and musl (signal(7)), so numbers end at 64.
int SignalByName(absl::string_view name);

// Linux number of a CRI signal; 0 = RUNTIME_DEFAULT or an unknown number.
int SignalFromCri(cri::Signal signal);

// The CRI signal of a Linux number; RUNTIME_DEFAULT when CRI has none.
cri::Signal SignalToCri(int number);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CRI_SIGNAL_NAMES_H_
