#include "runtime/image/registry/credentials.h"

#include <absl/strings/escaping.h>
#include <gtest/gtest.h>

#include <string>

namespace warren::registry {
namespace {

using Kind = Credentials::Kind;

Credentials Chosen(const AuthFields& fields,
                   const char* host = "registry.example") {
  const auto chosen = ChooseCredentials(fields, host);
  EXPECT_TRUE(chosen.ok()) << chosen.status();
  return chosen.value_or(Credentials());
}

TEST(RegistryCredentials, Precedence) {
  AuthFields fields;
  EXPECT_TRUE(Chosen(fields).anonymous());
  fields.registry_token = "bearer";
  EXPECT_EQ(Chosen(fields).kind, Kind::kRegistryToken);
  fields.auth = absl::Base64Escape("eve:x:y");
  EXPECT_EQ(Chosen(fields).kind, Kind::kPassword);
  EXPECT_EQ(Chosen(fields).username, "eve");
  EXPECT_EQ(Chosen(fields).secret, "x:y");
  fields.identity_token = "refresh";
  EXPECT_EQ(Chosen(fields).kind, Kind::kIdentityToken);
  EXPECT_EQ(Chosen(fields).secret, "refresh");
  EXPECT_EQ(Chosen(fields).username, "");
  fields.username = "kim";
  fields.password = "secret";
  EXPECT_EQ(Chosen(fields).kind, Kind::kPassword);
  EXPECT_EQ(Chosen(fields).username, "kim");
  EXPECT_EQ(Chosen(fields).secret, "secret");
}

TEST(RegistryCredentials, IMG_5_OfAnotherServerDoNotCount) {
  AuthFields fields;
  fields.username = "kim";
  for (const char* address :
       {"registry.example", "https://registry.example",
        "https://registry.example/v1/", "REGISTRY.example:443"}) {
    fields.server_address = address;
    EXPECT_FALSE(Chosen(fields).anonymous()) << address;
  }
  for (const char* address :
       {"other.example", "https://registry.example:5000",
        "registry.example.evil", "http://registry.example:443",
        "https://evil/registry.example"}) {
    fields.server_address = address;
    EXPECT_TRUE(Chosen(fields).anonymous()) << address;
  }
  fields.server_address = "https://index.docker.io/v1/";
  EXPECT_FALSE(Chosen(fields, "docker.io").anonymous());
  fields.server_address = "127.0.0.1:5000";
  EXPECT_FALSE(Chosen(fields, "127.0.0.1:5000").anonymous());
}

TEST(RegistryCredentials, PaddingOfAuthGoes) {
  AuthFields fields;
  fields.auth = absl::Base64Escape(std::string("kim:secret\0\0", 12));
  EXPECT_EQ(Chosen(fields).secret, "secret");
}

TEST(RegistryCredentials, WhatFitsNoHeaderIsRefusedWithoutBeingRepeated) {
  AuthFields bad[6];
  bad[0].username = "kim\r\nX-Evil: secret";
  bad[1].username = "kim:secret";
  bad[2].auth = "secret!";
  bad[3].auth = absl::Base64Escape("secret");
  bad[4].identity_token = "secret\n";
  bad[5].registry_token = "secret\r";
  for (const AuthFields& fields : bad) {
    const auto chosen = ChooseCredentials(fields, "registry.example");
    EXPECT_EQ(chosen.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(chosen.status().message().find("secret"),
              absl::string_view::npos);
  }
}

TEST(RegistryCredentials, Basic) {
  EXPECT_EQ(BasicAuthorization("kim", "p:w"),
            "Basic " + absl::Base64Escape("kim:p:w"));
}

}  // namespace
}  // namespace warren::registry
