#ifndef WARREN_NETPLUGIN_IP_TESTING_H_
#define WARREN_NETPLUGIN_IP_TESTING_H_

#include "netplugin/ip.h"

// Values for tests out of literals, which must be good ones.
namespace warren::netplugin {

inline IpAddress Address(const char* text) { return *IpAddress::Parse(text); }
inline IpPrefix Prefix(const char* text) { return *IpPrefix::Parse(text); }

}  // namespace warren::netplugin

#endif  // WARREN_NETPLUGIN_IP_TESTING_H_
