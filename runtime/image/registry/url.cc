#include "runtime/image/registry/url.h"

#include <absl/status/status.h>
#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <arpa/inet.h>

#include <algorithm>
#include <vector>

namespace warren::registry {
namespace {

constexpr size_t kMaxUrlBytes = 16 << 10;
constexpr size_t kMaxHostBytes = 255;

absl::Status BadUrl(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("address: ", why));
}

bool IsHostChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
         c == '.' || c == '_';
}

// Visible ASCII; what a request line may hold.
absl::Status CheckBytes(absl::string_view text) {
  if (text.size() > kMaxUrlBytes) return BadUrl("more than 16 KiB");
  for (const char c : text) {
    if (c <= ' ' || c >= 0x7f) {
      return BadUrl("holds a blank, a control character or no ASCII");
    }
  }
  return absl::OkStatus();
}

absl::Status ParseHost(absl::string_view text, Url* url) {
  if (text.empty() || text.size() > kMaxHostBytes) return BadUrl("no host");
  if (text.find(':') != absl::string_view::npos) {  // without its brackets
    in6_addr address;
    url->host = absl::AsciiStrToLower(text);
    if (inet_pton(AF_INET6, url->host.c_str(), &address) != 1) {
      return BadUrl("no IPv6 address in the brackets");
    }
    return absl::OkStatus();
  }
  if (!std::all_of(text.begin(), text.end(), IsHostChar)) {
    return BadUrl("no host name");
  }
  url->host = absl::AsciiStrToLower(text);
  return absl::OkStatus();
}

// "host", "host:port", "[v6]", "[v6]:port"
absl::Status ParseAuthority(absl::string_view text, Url* url) {
  if (text.find('@') != absl::string_view::npos) {
    return BadUrl("holds a user or a password");
  }
  absl::string_view host = text;
  absl::string_view port;
  if (!text.empty() && text[0] == '[') {
    const size_t end = text.find(']');
    if (end == absl::string_view::npos) return BadUrl("a bracket is open");
    host = text.substr(1, end - 1);
    if (host.find(':') == absl::string_view::npos) {
      return BadUrl("no IPv6 address in the brackets");
    }
    port = text.substr(end + 1);
    if (!port.empty() && port[0] != ':') return BadUrl("no port");
  } else if (const size_t colon = text.find(':');
             colon != absl::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon);
    if (port.find(':', 1) != absl::string_view::npos) return BadUrl("no port");
  }
  url->port = url->https ? 443 : 80;
  if (port.size() > 1) {  // "host:" is allowed by RFC 3986
    uint32_t number = 0;
    if (!absl::ascii_isdigit(static_cast<unsigned char>(port[1])) ||
        !absl::SimpleAtoi(port.substr(1), &number) || number == 0 ||
        number > 65535) {
      return BadUrl("no port");
    }
    url->port = static_cast<uint16_t>(number);
  }
  return ParseHost(host, url);
}

// "scheme" in front of "://…" or of ":"; empty when there is none.
absl::string_view SchemeOf(absl::string_view text) {
  const size_t end = text.find_first_of(":/?#");
  if (end == absl::string_view::npos || end == 0 || text[end] != ':') return "";
  return text.substr(0, end);
}

// Path and query of what follows the authority.
std::string TargetOf(absl::string_view rest) {
  rest = rest.substr(0, rest.find('#'));
  if (rest.empty()) return "/";
  if (rest[0] == '?') return absl::StrCat("/", rest);
  return std::string(rest);
}

// Removes "." and ".." of a path (RFC 3986, 5.2.4), for a joined one.
std::string WithoutDots(absl::string_view path) {
  std::vector<absl::string_view> kept;
  const std::vector<absl::string_view> parts =
      absl::StrSplit(path.substr(1), '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size();
    if (parts[i] == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (parts[i] != ".") {
      kept.push_back(parts[i]);
      continue;
    }
    if (last) kept.push_back("");  // a directory keeps its slash
  }
  std::string result;
  for (const absl::string_view part : kept) absl::StrAppend(&result, "/", part);
  return result.empty() ? "/" : result;
}

std::string Bracketed(const std::string& host) {
  return absl::StrContains(host, ':') ? absl::StrCat("[", host, "]") : host;
}

}  // namespace

std::string Url::HostAndPort() const {
  const bool usual = port == (https ? 443 : 80);
  return usual ? Bracketed(host) : absl::StrCat(Bracketed(host), ":", port);
}

std::string Url::Origin() const {
  return absl::StrCat(https ? "https" : "http", "://", HostAndPort());
}

std::string Url::ToString() const { return absl::StrCat(Origin(), target); }

absl::StatusOr<Url> ParseUrl(absl::string_view text) {
  if (absl::Status status = CheckBytes(text); !status.ok()) return status;
  const std::string scheme = absl::AsciiStrToLower(SchemeOf(text));
  if (scheme != "http" && scheme != "https") {
    return BadUrl("neither http nor https");
  }
  absl::string_view rest = text.substr(scheme.size() + 1);
  if (!absl::StartsWith(rest, "//")) return BadUrl("no host");
  rest.remove_prefix(2);
  Url url;
  url.https = scheme == "https";
  const size_t end = std::min(rest.find_first_of("/?#\\"), rest.size());
  if (end < rest.size() && rest[end] == '\\') return BadUrl("no host name");
  if (absl::Status status = ParseAuthority(rest.substr(0, end), &url);
      !status.ok()) {
    return status;
  }
  url.target = TargetOf(rest.substr(end));
  return url;
}

absl::StatusOr<Url> ResolveUrl(const Url& base, absl::string_view reference) {
  if (absl::Status status = CheckBytes(reference); !status.ok()) return status;
  if (!SchemeOf(reference).empty()) return ParseUrl(reference);
  if (absl::StartsWith(reference, "//")) {
    return ParseUrl(absl::StrCat(base.https ? "https:" : "http:", reference));
  }
  Url url = base;
  if (absl::StartsWith(reference, "/")) {
    url.target = TargetOf(reference);
    return url;
  }
  reference = reference.substr(0, reference.find('#'));
  const std::string path = base.target.substr(0, base.target.find('?'));
  if (reference.empty()) return url;
  if (reference[0] == '?') {
    url.target = absl::StrCat(path, reference);
    return url;
  }
  const size_t query = std::min(reference.find('?'), reference.size());
  url.target =
      absl::StrCat(WithoutDots(absl::StrCat(path.substr(0, path.rfind('/') + 1),
                                            reference.substr(0, query))),
                   reference.substr(query));
  return url;
}

bool IsLoopback(absl::string_view host) {
  if (absl::EqualsIgnoreCase(host, "localhost")) return true;
  const std::string text(host);
  in_addr v4;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    return ntohl(v4.s_addr) >> 24 == 127;
  }
  in6_addr v6;
  return inet_pton(AF_INET6, text.c_str(), &v6) == 1 &&
         IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string PercentEncode(absl::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || absl::StrContains("-._~", c)) {
      result += c;
    } else {
      result += '%';
      result += kDigits[byte >> 4];
      result += kDigits[byte & 15];
    }
  }
  return result;
}

}  // namespace warren::registry
