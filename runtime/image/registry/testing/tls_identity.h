#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_TLS_IDENTITY_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_TLS_IDENTITY_H_

#include <openssl/types.h>

#include <memory>
#include <string>

// A certificate authority of a test and what it signs. Test only.
namespace warren::registry::testing {

struct SslContextFree {
  void operator()(SSL_CTX* context) const;
};

// A self-made authority, and a server certificate for 127.0.0.1, ::1 and
// localhost that it signed.
class TlsIdentity {
 public:
  // `require_client`: connections without a certificate of the same authority
  // are refused.
  explicit TlsIdentity(bool require_client = false);

  // PEM of the authority.
  const std::string& ca_pem() const { return ca_pem_; }
  // PEM of a client certificate and its key.
  const std::string& client_pem() const { return client_pem_; }
  SSL_CTX* context() const { return context_.get(); }

 private:
  std::string ca_pem_;
  std::string client_pem_;
  std::unique_ptr<SSL_CTX, SslContextFree> context_;
};

}  // namespace warren::registry::testing

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_TLS_IDENTITY_H_
