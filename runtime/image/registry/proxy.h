#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_PROXY_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_PROXY_H_

#include <absl/strings/string_view.h>

#include <functional>
#include <string>
#include <vector>

#include "runtime/image/registry/url.h"

// Which proxy a request goes through. The rules are those of Go's
// httpproxy package, which containerd and the kubelet follow; curl's own differ
// (no HTTP_PROXY in capitals, no ports in NO_PROXY, loopback is proxied).
namespace warren::registry {

struct ProxySettings {
  // "http://user:password@host:port", "host:port", "socks5://…"; empty: none.
  // They may hold a password: never part of a text.
  std::string http;
  std::string https;
  // Items of NO_PROXY, blanks removed.
  std::vector<std::string> no_proxy;

  // HTTP_PROXY, HTTPS_PROXY and NO_PROXY, capitals before small letters.
  // `get` is getenv(3) or a test's; it answers nullptr for what is not set.
  static ProxySettings FromEnvironment(
      const std::function<const char*(const char*)>& get);

  // The proxy for `url`; empty: none. Loopback is never proxied. An item of
  // NO_PROXY is
  //   *                    everything
  //   example.com          the host and all below it
  //   .example.com *.example.com   what is below it
  //   192.0.2.1 [2001:db8::1]      that address
  //   10.0.0.0/8           an address in it; names are not looked up
  // each with ":port", which then has to be the same.
  const std::string& For(const Url& url) const;

 private:
  bool Excluded(const Url& url) const;
};

}  // namespace warren::registry

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_PROXY_H_
