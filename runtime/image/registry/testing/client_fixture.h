#ifndef WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_CLIENT_FIXTURE_H_
#define WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_CLIENT_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "runtime/image/registry/curl_transport.h"
#include "runtime/image/registry/registry_client.h"
#include "runtime/image/registry/testing/content.h"

// A client over real sockets, with a directory of hosts.toml of its own. Test
// only.
namespace warren::registry::testing {

class ClientFixture : public ::testing::Test {
 protected:
  ClientFixture();
  ~ClientFixture() override;

  // Makes <hosts_dir>/<registry>/hosts.toml.
  void WriteHosts(const std::string& registry, const std::string& toml);
  // A file beside it; its path.
  std::string WriteFile(const std::string& name, const std::string& data);

  // A pull of `registry`/app/web; a failure of it fails the test.
  std::unique_ptr<Pull> Begin(const std::string& registry,
                              const Credentials& credentials = {});

  // user "kim", password "p:w secret"
  static Credentials Kim();

  // As far as a test waits for what must come.
  static base::Deadline Patience() {
    return base::Deadline::After(absl::Minutes(2));
  }

  // Change before Begin().
  ClientOptions options_;
  ProxySettings proxies_;

 private:
  std::string directory_;
  std::unique_ptr<CurlTransport> transport_;
  std::unique_ptr<RegistryClient> client_;
};

// A manifest that the client takes.
inline constexpr char kManifest[] =
    R"({"schemaVersion":2,"mediaType":)"
    R"("application/vnd.oci.image.manifest.v1+json","config":{},"layers":[]})";
inline constexpr char kManifestType[] =
    "application/vnd.oci.image.manifest.v1+json";

}  // namespace warren::registry::testing

#endif  // WARREN_RUNTIME_IMAGE_REGISTRY_TESTING_CLIENT_FIXTURE_H_
