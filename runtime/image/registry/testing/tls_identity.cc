#include "runtime/image/registry/testing/tls_identity.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <utility>

namespace warren::registry::testing {
namespace {

struct CertificateFree {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
using Key = std::unique_ptr<EVP_PKEY, KeyFree>;
using Certificate = std::unique_ptr<X509, CertificateFree>;

constexpr long kLifeSeconds = 24 * 3600;

void AddExtension(X509* certificate, X509* issuer, int id, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension =
      X509V3_EXT_conf_nid(nullptr, &context, id, value);
  if (extension == nullptr) std::abort();
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// A certificate called `name`, signed by itself where `issuer` is null.
Certificate Make(const char* name, EVP_PKEY* key, X509* issuer,
                 EVP_PKEY* issuer_key) {
  static long serial = 1;
  Certificate made(X509_new());
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -kLifeSeconds);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), kLifeSeconds);
  X509_set_pubkey(made.get(), key);
  X509_NAME* const subject = X509_get_subject_name(made.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1,
                             -1, 0);
  X509_set_issuer_name(
      made.get(), issuer == nullptr ? subject : X509_get_subject_name(issuer));
  if (issuer == nullptr) {
    AddExtension(made.get(), made.get(), NID_basic_constraints,
                 "critical,CA:TRUE");
  } else {
    AddExtension(made.get(), issuer, NID_subject_alt_name,
                 "IP:127.0.0.1,IP:::1,DNS:localhost,DNS:registry.test");
  }
  X509_sign(made.get(), issuer_key, EVP_sha256());
  return made;
}

template <typename Write>
std::string ToPem(const Write& write) {
  BIO* const memory = BIO_new(BIO_s_mem());
  write(memory);
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  std::string pem(data, static_cast<size_t>(size));
  BIO_free(memory);
  return pem;
}

std::string CertificatePem(X509* certificate) {
  return ToPem([&](BIO* memory) { PEM_write_bio_X509(memory, certificate); });
}

std::string KeyPem(EVP_PKEY* key) {
  return ToPem([&](BIO* memory) {
    PEM_write_bio_PrivateKey(memory, key, nullptr, nullptr, 0, nullptr,
                             nullptr);
  });
}

}  // namespace

void KeyFree::operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }

void SslContextFree::operator()(SSL_CTX* context) const {
  SSL_CTX_free(context);
}

TlsIdentity::TlsIdentity(bool require_client) {
  const Key ca_key(EVP_EC_gen("P-256"));
  Key server_key(EVP_EC_gen("P-256"));
  const Key client_key(EVP_EC_gen("P-256"));
  const Certificate ca =
      Make("test authority", ca_key.get(), nullptr, ca_key.get());
  const Certificate server =
      Make("127.0.0.1", server_key.get(), ca.get(), ca_key.get());
  const Certificate client =
      Make("client", client_key.get(), ca.get(), ca_key.get());
  ca_pem_ = CertificatePem(ca.get());
  client_pem_ = CertificatePem(client.get()) + KeyPem(client_key.get());
  server_pem_ = CertificatePem(server.get()) + KeyPem(server_key.get());

  unsigned char* der = nullptr;
  const int size = i2d_X509(server.get(), &der);
  server_der_.assign(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);

  context_.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_use_certificate(context_.get(), server.get());
  SSL_CTX_use_PrivateKey(context_.get(), server_key.get());
  if (require_client) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), ca.get());
    SSL_CTX_set_verify(context_.get(),
                       SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       nullptr);
  }
  server_key_ = std::move(server_key);
}

std::string TlsIdentity::SignToken(const std::string& claims) const {
  const std::string signed_text =
      absl::StrCat(absl::WebSafeBase64Escape(
                       absl::StrCat(R"({"typ":"JWT","alg":"ES256","x5c":[")",
                                    absl::Base64Escape(server_der_), R"("]})")),
                   ".", absl::WebSafeBase64Escape(claims));
  const auto* const bytes =
      reinterpret_cast<const unsigned char*>(signed_text.data());
  unsigned char der[256];
  size_t size = sizeof(der);
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  if (EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr,
                         server_key_.get()) != 1 ||
      EVP_DigestSign(context, der, &size, bytes, signed_text.size()) != 1) {
    std::abort();
  }
  EVP_MD_CTX_free(context);
  // Of the DER the two numbers alone, 32 bytes each.
  const unsigned char* place = der;
  ECDSA_SIG* const pair =
      d2i_ECDSA_SIG(nullptr, &place, static_cast<long>(size));
  std::string signature(64, '\0');
  auto* const out = reinterpret_cast<unsigned char*>(signature.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + 32, 32);
  ECDSA_SIG_free(pair);
  return absl::StrCat(signed_text, ".", absl::WebSafeBase64Escape(signature));
}

}  // namespace warren::registry::testing
