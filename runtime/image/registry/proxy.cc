#include "runtime/image/registry/proxy.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

namespace warren::registry {
namespace {

// An address as 16 bytes, IPv4 mapped into IPv6.
using AddressBytes = std::array<uint8_t, 16>;

std::optional<AddressBytes> ToAddress(absl::string_view text) {
  const std::string copy(text);
  AddressBytes bytes{};
  if (inet_pton(AF_INET6, copy.c_str(), bytes.data()) == 1) return bytes;
  bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (inet_pton(AF_INET, copy.c_str(), bytes.data() + 12) == 1) return bytes;
  return std::nullopt;
}

bool InRange(const AddressBytes& address, absl::string_view network,
             absl::string_view length) {
  const auto base = ToAddress(network);
  int bits = 0;
  if (!base || !absl::SimpleAtoi(length, &bits) || bits < 0) return false;
  if (!absl::StrContains(network, ':')) bits += 96;
  if (bits > 128) return false;
  const int whole = bits / 8;
  if (std::memcmp(address.data(), base->data(), whole) != 0) return false;
  if (bits % 8 == 0) return true;
  const int shift = 8 - bits % 8;
  return address[whole] >> shift == (*base)[whole] >> shift;
}

// Takes ":port" off an item; brackets of IPv6 go as well.
absl::string_view WithoutPort(absl::string_view item, int* port) {
  if (absl::StartsWith(item, "[")) {
    const size_t end = item.find(']');
    if (end == absl::string_view::npos) return item;
    if (end + 1 < item.size() && item[end + 1] == ':') {
      if (!absl::SimpleAtoi(item.substr(end + 2), port)) *port = -1;
    }
    return item.substr(1, end - 1);
  }
  const size_t colon = item.find(':');
  if (colon == absl::string_view::npos ||
      item.find(':', colon + 1) != absl::string_view::npos) {
    return item;
  }
  if (!absl::SimpleAtoi(item.substr(colon + 1), port)) *port = -1;
  return item.substr(0, colon);
}

bool NameMatches(absl::string_view host, absl::string_view item) {
  if (absl::StartsWith(item, "*.")) item.remove_prefix(1);
  if (absl::StartsWith(item, ".")) return absl::EndsWith(host, item);
  return host == item || (absl::EndsWith(host, item) &&
                          host[host.size() - item.size() - 1] == '.');
}

bool ItemMatches(const Url& url, const std::optional<AddressBytes>& address,
                 const std::string& text) {
  if (text == "*") return true;
  if (const size_t slash = text.find('/'); slash != std::string::npos) {
    return address &&
           InRange(*address, text.substr(0, slash), text.substr(slash + 1));
  }
  int port = 0;
  const absl::string_view item = WithoutPort(text, &port);
  if (item.empty() || (port != 0 && port != url.port)) return false;
  if (const auto wanted = ToAddress(item)) {
    return address && *address == *wanted;
  }
  return !address && NameMatches(url.host, item);
}

}  // namespace

ProxySettings ProxySettings::FromEnvironment(
    const std::function<const char*(const char*)>& get) {
  const auto first = [&get](const char* capitals, const char* small) {
    const char* value = get(capitals);
    if (value == nullptr || *value == '\0') value = get(small);
    return std::string(value == nullptr ? "" : value);
  };
  ProxySettings settings;
  settings.http = first("HTTP_PROXY", "http_proxy");
  settings.https = first("HTTPS_PROXY", "https_proxy");
  for (absl::string_view item :
       absl::StrSplit(first("NO_PROXY", "no_proxy"), absl::ByAnyChar(", \t"),
                      absl::SkipEmpty())) {
    settings.no_proxy.push_back(absl::AsciiStrToLower(item));
  }
  return settings;
}

bool ProxySettings::Excluded(const Url& url) const {
  if (IsLoopback(url.host)) return true;
  const auto address = ToAddress(url.host);
  return std::any_of(
      no_proxy.begin(), no_proxy.end(),
      [&](const std::string& item) { return ItemMatches(url, address, item); });
}

const std::string& ProxySettings::For(const Url& url) const {
  static const std::string* const kNone = new std::string();
  const std::string& proxy = url.https ? https : http;
  return proxy.empty() || Excluded(url) ? *kNone : proxy;
}

}  // namespace warren::registry
