#include "runtime/image/digest.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>

namespace warren::image {
namespace {

constexpr size_t kHexDigits = 64;

}  // namespace

bool IsLowerHex(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

absl::StatusOr<Digest> Digest::Parse(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, "sha256:")) {
    return absl::InvalidArgumentError(
        "digest does not start with \"sha256:\", the only algorithm supported");
  }
  return FromHex(text);
}

absl::StatusOr<Digest> Digest::FromHex(absl::string_view hex) {
  if (hex.size() != kHexDigits || !IsLowerHex(hex)) {
    return absl::InvalidArgumentError(
        "digest is not 64 lower-case hexadecimal digits");
  }
  return Digest(std::string(hex));
}

Digest Digest::Of(absl::string_view data) {
  Sha256 hash;
  hash.Update(data);
  return hash.Finish();
}

struct Sha256::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

// SHA-256 of memory cannot fail but for want of memory or a broken library:
// both are broken invariants of the process, not errors of an image.
Sha256::Sha256() : context_(std::make_unique<Context>()) {
  if (context_->evp == nullptr ||
      EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr) != 1) {
    std::abort();
  }
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::Update(absl::string_view data) {
  if (EVP_DigestUpdate(context_->evp, data.data(), data.size()) != 1) {
    std::abort();
  }
}

Digest Sha256::Finish() {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_DigestFinal_ex(context_->evp, raw, &size) != 1 || size != 32) {
    std::abort();
  }
  return Digest(absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(raw), size)));
}

Digest ChainId(const Digest& below, const Digest& diff_id) {
  return Digest::Of(absl::StrCat(below.ToString(), " ", diff_id.ToString()));
}

}  // namespace warren::image
