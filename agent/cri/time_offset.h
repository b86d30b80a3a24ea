#ifndef WARREN_AGENT_CRI_TIME_OFFSET_H_
#define WARREN_AGENT_CRI_TIME_OFFSET_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <cstdint>

// Time offsets of a pod, asked for by annotation.
namespace warren::agent {

inline constexpr char kBoottimeOffsetAnnotation[] =
    "warren.dev/time-offset.boottime";
inline constexpr char kMonotonicOffsetAnnotation[] =
    "warren.dev/time-offset.monotonic";

// Signed decimal seconds with up to nine digits of fraction ("86400",
// "-1.5") as nanoseconds. kInvalidArgument "<field>: …" for anything else, for
// more than 4 600 000 000 seconds (the kernel's clocks end shortly after, at
// 2^62 ns), and for an offset that would put the clock before zero
// (time_namespaces(7)). `clock_now_ns`: what the node's clock shows now. Pure.
absl::StatusOr<int64_t> ParseTimeOffset(absl::string_view field,
                                        absl::string_view text,
                                        int64_t clock_now_ns);

}  // namespace warren::agent

#endif  // WARREN_AGENT_CRI_TIME_OFFSET_H_
