#ifndef WARREN_AGENT_API_REQUEST_BOUNDS_H_
#define WARREN_AGENT_API_REQUEST_BOUNDS_H_

#include <absl/status/status.h>
#include <google/protobuf/message.h>

#include <cstddef>

namespace warren::agent {

// A string of a request that has no other bound: names, ids, references,
// paths. PATH_MAX - 1, as the longest of them are paths.
inline constexpr size_t kMaxStringBytes = 4095;
// One argument, or one variable with its name: execve(2) refuses a string of
// MAX_ARG_STRLEN (32 pages of 4 KiB) with its NUL, so the request need not wait
// for the start.
inline constexpr size_t kMaxArgumentBytes = 128 * 1024 - 1;
// Keys and values of one map, such as labels and annotations, together;
// Kubernetes allows as much for the annotations of an object.
inline constexpr size_t kMaxMapBytes = 256 * 1024;

// API-6: what a request may make us keep, log and give back, field by field,
// whatever the field is for and whether or not anybody looks at it; many a
// field has a closer bound, or a form, where it is used. kInvalidArgument
// "config.mounts[2].host_path: is longer than …". By reflection, so that a new
// field is bounded from the day it is there; a request below kMaxStringBytes
// costs nothing but its size.
absl::Status CheckBounds(const google::protobuf::Message& request);

}  // namespace warren::agent

#endif  // WARREN_AGENT_API_REQUEST_BOUNDS_H_
