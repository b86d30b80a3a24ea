#ifndef WARREN_TESTS_SUPPORT_HTTP_FETCH_H_
#define WARREN_TESTS_SUPPORT_HTTP_FETCH_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <string>

namespace warren::test {

// The body of http://<ip>:<port><path>, fetched over a socket of the calling
// thread's network namespace; IPv4 or IPv6. Retries while the connection is
// refused (a server that is still starting) until `patience` is over.
absl::StatusOr<std::string> HttpGet(const std::string& ip, int port,
                                    const std::string& path,
                                    absl::Duration patience = absl::Seconds(5));

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_HTTP_FETCH_H_
