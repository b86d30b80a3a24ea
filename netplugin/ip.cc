#include "netplugin/ip.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "runtime/base/status.h"

namespace warren::netplugin {

absl::StatusOr<IpAddress> IpAddress::Parse(absl::string_view text) {
  // inet_pton reads up to a NUL; INET6_ADDRSTRLEN bounds any good text.
  const std::string copy(text);
  if (copy.size() < INET6_ADDRSTRLEN && copy.find('\0') == std::string::npos) {
    uint8_t bytes[16];
    for (int family : {AF_INET, AF_INET6}) {
      if (inet_pton(family, copy.c_str(), bytes) == 1) {
        return FromBytes(family, bytes);
      }
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is not an IP address"));
}

IpAddress IpAddress::FromBytes(int family, const void* bytes) {
  IpAddress address;
  address.family_ = family;
  std::memcpy(address.bytes_.data(), bytes, address.size());
  return address;
}

int IpAddress::size() const {
  return family_ == AF_INET ? 4 : family_ == AF_INET6 ? 16 : 0;
}

std::string IpAddress::ToString() const {
  if (family_ == 0) return "none";
  char text[INET6_ADDRSTRLEN];
  return inet_ntop(family_, bytes_.data(), text, sizeof(text));
}

IpAddress IpAddress::Plus(uint64_t offset) const {
  IpAddress sum = *this;
  uint64_t carry = offset;
  for (int i = size() - 1; i >= 0 && carry != 0; --i) {
    // The byte is added to the low 8 bits first so that nothing overflows.
    const uint64_t low = (carry & 0xff) + sum.bytes_[i];
    sum.bytes_[i] = low & 0xff;
    carry = (carry >> 8) + (low >> 8);
  }
  return sum;
}

absl::StatusOr<IpPrefix> IpPrefix::Parse(absl::string_view text) {
  const size_t slash = text.find('/');
  if (slash == absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" has no prefix length"));
  }
  IpPrefix prefix;
  ASSIGN_OR_RETURN(prefix.address, IpAddress::Parse(text.substr(0, slash)));
  const absl::string_view length = text.substr(slash + 1);
  const bool digits = !length.empty() && length.size() <= 3 &&
                      std::all_of(length.begin(), length.end(),
                                  [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || !absl::SimpleAtoi(length, &prefix.length) ||
      prefix.length > prefix.address.bits()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" has a bad prefix length"));
  }
  return prefix;
}

IpPrefix IpPrefix::Masked() const {
  uint8_t bytes[16] = {};
  for (int i = 0; i < address.size(); ++i) {
    const int kept = std::clamp(length - i * 8, 0, 8);
    bytes[i] = address.data()[i] & (0xff00 >> kept & 0xff);
  }
  return {IpAddress::FromBytes(address.family(), bytes), length};
}

IpAddress IpPrefix::End() const {
  uint8_t bytes[16] = {};
  const IpAddress start = Masked().address;
  std::memcpy(bytes, start.data(), start.size());
  const int host_bits = address.bits() - length;
  // One more at the last bit of the network, carried to the left.
  int carry = 1 << host_bits % 8;
  for (int i = address.size() - 1 - host_bits / 8; i >= 0; --i) {
    carry += bytes[i];
    bytes[i] = carry & 0xff;
    carry >>= 8;
  }
  return IpAddress::FromBytes(address.family(), bytes);
}

bool IpPrefix::Contains(const IpAddress& other) const {
  return other.family() == address.family() &&
         IpPrefix{other, length}.Masked().address == Masked().address;
}

bool IpPrefix::Overlaps(const IpPrefix& other) const {
  return length <= other.length ? Contains(other.address)
                                : other.Contains(address);
}

std::string IpPrefix::ToString() const {
  return absl::StrCat(address.ToString(), "/", length);
}

}  // namespace warren::netplugin
