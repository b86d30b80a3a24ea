#include "runtime/image/registry/testing/client_fixture.h"

#include <fcntl.h>
#include <stdlib.h>

#include <utility>

#include "runtime/base/file.h"

namespace warren::registry::testing {

ClientFixture::ClientFixture() {
  std::string pattern = ::testing::TempDir() + "registry-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  directory_ = pattern;
  options_.hosts_dir = directory_;
  options_.retries.first_wait = absl::Milliseconds(1);
}

ClientFixture::~ClientFixture() {
  EXPECT_TRUE(base::RemoveTree(AT_FDCWD, directory_).ok());
}

void ClientFixture::WriteHosts(const std::string& registry,
                               const std::string& toml) {
  const auto made = base::MakeDirs(AT_FDCWD, directory_ + "/" + registry, 0700);
  ASSERT_TRUE(made.ok()) << made.status();
  WriteFile(registry + "/hosts.toml", toml);
}

std::string ClientFixture::WriteFile(const std::string& name,
                                     const std::string& data) {
  const std::string path = directory_ + "/" + name;
  const auto fd =
      base::OpenAt(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  EXPECT_TRUE(fd.ok() && base::WriteFd(fd->get(), data).ok());
  return path;
}

std::unique_ptr<Pull> ClientFixture::Begin(const std::string& registry,
                                           const Credentials& credentials) {
  if (client_ == nullptr) {
    transport_ = std::make_unique<CurlTransport>("warren-test/1", proxies_);
    client_ = std::make_unique<RegistryClient>(options_, transport_.get());
  }
  auto pull = client_->Begin({registry, "app/web"}, credentials);
  EXPECT_TRUE(pull.ok()) << pull.status();
  return pull.ok() ? *std::move(pull) : nullptr;
}

Credentials ClientFixture::Kim() {
  Credentials kim;
  kim.kind = Credentials::Kind::kPassword;
  kim.username = "kim";
  kim.secret = "p:w secret";
  return kim;
}

}  // namespace warren::registry::testing
