#ifndef WARREN_RUNTIME_IMAGE_DIGEST_H_
#define WARREN_RUNTIME_IMAGE_DIGEST_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/strings/string_view.h>

#include <memory>
#include <string>

// SHA-256 content addresses. A Digest exists only with a valid value, so its
// hex() may be a file name without another look (IMG-4).
namespace warren::image {

class Digest {
 public:
  // "sha256:" and 64 lower-case hex digits; kInvalidArgument otherwise. Other
  // algorithms of the OCI specification are refused by name.
  static absl::StatusOr<Digest> Parse(absl::string_view text);
  // The 64 hex digits alone.
  static absl::StatusOr<Digest> FromHex(absl::string_view hex);
  // Of the bytes given.
  static Digest Of(absl::string_view data);

  const std::string& hex() const { return hex_; }
  std::string ToString() const { return "sha256:" + hex_; }

  bool operator==(const Digest&) const = default;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang 14 misreads <=>
  auto operator<=>(const Digest&) const = default;

 private:
  explicit Digest(std::string hex) : hex_(std::move(hex)) {}
  friend class Sha256;
  std::string hex_;
};

// True for a non-empty string of [0-9a-f] only.
bool IsLowerHex(absl::string_view text);

// A running SHA-256. Thread-compatible.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void Update(absl::string_view data);
  // Ends the computation; call once.
  Digest Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// Chain ID of the OCI image specification: of the first layer its diff ID, of
// every further one the digest of "<chain below> <diff ID>".
Digest ChainId(const Digest& below, const Digest& diff_id);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_DIGEST_H_
