#include "runtime/image/registry/document_type.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace warren::registry {
namespace {

constexpr char kOciIndex[] = "application/vnd.oci.image.index.v1+json";
constexpr char kOciManifest[] = "application/vnd.oci.image.manifest.v1+json";
constexpr char kDockerList[] =
    "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr char kDockerManifest[] =
    "application/vnd.docker.distribution.manifest.v2+json";

TEST(RegistryDocumentType, TheDocumentsOwnWordCounts) {
  for (const char* header :
       {"", "application/json", "text/plain; charset=utf-8",
        "application/octet-stream", kOciIndex}) {
    EXPECT_EQ(*DocumentType(absl::StrCat(R"({"mediaType":")", kDockerManifest,
                                         R"(","layers":[]})"),
                            header),
              kDockerManifest);
  }
}

TEST(RegistryDocumentType, ElseItsFields) {
  for (const char* header : {"", "application/json", "text/html"}) {
    EXPECT_EQ(*DocumentType(R"({"manifests":[]})", header), kOciIndex);
    EXPECT_EQ(*DocumentType(R"({"layers":[]})", header), kOciManifest);
    EXPECT_EQ(*DocumentType(R"({"config":{}})", header), kOciManifest);
  }
  EXPECT_EQ(*DocumentType(R"({"schemaVersion":2,"layers":[]})",
                          absl::StrCat(kDockerManifest, "; charset=utf-8")),
            kDockerManifest);
  // The kind is never that of the header.
  EXPECT_EQ(*DocumentType(R"({"manifests":[]})", kDockerManifest), kDockerList);
}

TEST(RegistryDocumentType, Schema1IsRefusedByName) {
  for (
      const char* body :
      {R"({"schemaVersion":1,"fsLayers":[]})",
       R"({"mediaType":"application/vnd.docker.distribution.manifest.v1+json"})",
       R"({"mediaType":)"
       R"("application/vnd.docker.distribution.manifest.v1+prettyjws"})"}) {
    const auto type = DocumentType(body, "");
    EXPECT_EQ(type.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(type.status().message()),
                ::testing::HasSubstr("schema 1"));
  }
}

TEST(RegistryDocumentType, WhatIsNoDocument) {
  for (const char* body :
       {"", "<html>", "[]", "{}", R"({"mediaType":7})", R"({"a":1,"a":2})",
        R"({"errors":[]})", R"({"layers":[]} x)"}) {
    EXPECT_EQ(DocumentType(body, kOciManifest).status().code(),
              absl::StatusCode::kDataLoss)
        << body;
  }
}

}  // namespace
}  // namespace warren::registry
