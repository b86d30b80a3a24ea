#ifndef WARREN_NETPLUGIN_IP_H_
#define WARREN_NETPLUGIN_IP_H_

#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <array>
#include <cstdint>
#include <string>

// Typed addresses: past the parser nobody handles address strings. Text is that
// of inet_pton(3) and inet_ntop(3). Pure and thread-safe.
namespace warren::netplugin {

// An IPv4 or IPv6 address, bytes in network order. Value type.
class IpAddress {
 public:
  IpAddress() = default;
  // "10.0.0.1" or "fd00::1"; kInvalidArgument otherwise.
  static absl::StatusOr<IpAddress> Parse(absl::string_view text);
  // `bytes` holds 4 (AF_INET) or 16 (AF_INET6) bytes.
  static IpAddress FromBytes(int family, const void* bytes);

  int family() const { return family_; }  // AF_INET, AF_INET6, 0 = none
  const uint8_t* data() const { return bytes_.data(); }
  int size() const;  // bytes: 4, 16 or 0
  int bits() const { return size() * 8; }
  std::string ToString() const;

  // The address `offset` further on, wrapping inside the family.
  IpAddress Plus(uint64_t offset) const;

  auto operator<=>(const IpAddress&) const = default;

 private:
  int family_ = 0;
  std::array<uint8_t, 16> bytes_ = {};
};

// An address with a prefix length. As a range the host bits are zero; as an
// interface address they are not. Value type.
struct IpPrefix {
  IpAddress address;
  int length = 0;

  // "10.1.0.0/16"; kInvalidArgument otherwise. Host bits are kept.
  static absl::StatusOr<IpPrefix> Parse(absl::string_view text);

  IpPrefix Masked() const;  // host bits zeroed
  IpAddress End() const;    // the first address behind, wrapping
  bool Contains(const IpAddress& other) const;
  bool Overlaps(const IpPrefix& other) const;
  std::string ToString() const;

  auto operator<=>(const IpPrefix&) const = default;
};

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_IP_H_
