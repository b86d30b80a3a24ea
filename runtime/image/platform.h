#ifndef WARREN_RUNTIME_IMAGE_PLATFORM_H_
#define WARREN_RUNTIME_IMAGE_PLATFORM_H_

#include <optional>
#include <string>

// What machine an image is for, as indexes and configurations say it. Pure
// functions.
namespace warren::image {

struct Platform {
  std::string os;
  std::string architecture;  // GOARCH names: "amd64", "arm64"
  std::string variant;
};

// linux, the architecture this program was built for, and the highest variant
// that this CPU can run (amd64: v1 to v4, by cpuid; arm64: v8 to v8.2 and v9,
// by the hardware capabilities of the kernel).
const Platform& NodePlatform();

// The one spelling of what is written in several ways: "Linux", "x86_64",
// "AMD64", "aarch64", "armhf", a variant "8". Names that are not known stay as
// they are, in lower case.
Platform Normalised(const Platform& platform);

// How well an image for `platform` runs on `node`; higher is better, nothing:
// not at all. Both are normalised first. An empty field says nothing, so it
// fits; an empty variant is the lowest level of its architecture (arm: v7).
std::optional<int> PlatformRank(const Platform& platform, const Platform& node);

// "linux/arm64/v8", printable and short, for messages.
std::string PlatformName(const Platform& platform);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_PLATFORM_H_
