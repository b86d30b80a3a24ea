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

struct KeyFree {
  void operator()(EVP_PKEY* key) const;
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
  // PEM of the server's certificate and its key.
  const std::string& server_pem() const { return server_pem_; }
  // A JSON web token (RFC 7515) of these claims, a JSON object: ES256, signed
  // by the server's key, with its certificate as "x5c".
  std::string SignToken(const std::string& claims) const;
  SSL_CTX* context() const { return context_.get(); }

 private:
  std::string ca_pem_;
  std::string client_pem_;
  std::string server_pem_;
  std::string server_der_;
  std::unique_ptr<EVP_PKEY, KeyFree> server_key_;
  std::unique_ptr<SSL_CTX, SslContextFree> context_;
};

}  // namespace warren::registry::testing

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_TLS_IDENTITY_H_
