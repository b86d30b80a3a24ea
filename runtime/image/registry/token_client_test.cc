#include "runtime/image/registry/token_client.h"

#include <absl/strings/match.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "runtime/image/registry/testing/fake_transport.h"

namespace warren::registry {
namespace {

using testing::FakeAnswer;
using testing::FakeTransport;
using ::testing::HasSubstr;
using testing::HeaderOf;
using ::testing::Not;

Credentials PasswordOfKim() {
  Credentials kim;
  kim.kind = Credentials::Kind::kPassword;
  kim.username = "kim";
  kim.secret = "p&w";
  return kim;
}

TokenAsker Registry(const char* url) {
  TokenAsker asker;
  asker.url = *ParseUrl(url);
  asker.is_registry = true;
  asker.tls.ca_pem = "CA";
  asker.tls.client_cert = "/client.pem";
  asker.tls.skip_verify = true;
  return asker;
}

Challenge Bearer(const std::string& realm) {
  return {"bearer", {{"realm", realm}, {"service", "reg"}}};
}

TEST(RegistryToken, EitherFieldAndOddTimes) {
  const struct {
    const char* body;
    const char* token;
    int seconds;
  } cases[] = {
      {R"({"token":"t"})", "t", 60},
      {R"({"access_token":"a"})", "a", 60},
      {R"({"token":"t","access_token":"a","expires_in":300})", "t", 300},
      {R"({"token":"","access_token":"a"})", "a", 60},
      {R"({"token":null,"access_token":"a"})", "a", 60},
      {R"({"token":7,"access_token":"a"})", "a", 60},
      {R"({"token":"t","expires_in":1})", "t", 60},
      {R"({"token":"t","expires_in":"300"})", "t", 60},
      {R"({"token":"t","expires_in":-1})", "t", 60},
      {R"({"token":"t","expires_in":1000000000000})", "t", 60},
      {R"({"token":"t","expires_in":1.5})", "t", 60},
      {R"({"token":"t","expires_at":"tomorrow","issued_at":""})", "t", 60},
      {R"({"token":"t","expires_in":300,"issued_at":"2999-01-01T00:00:00Z"})",
       "t", 300},
  };
  for (const auto& one : cases) {
    const auto token = ParseToken(one.body);
    ASSERT_TRUE(token.ok()) << one.body << token.status();
    EXPECT_EQ(token->value, one.token) << one.body;
    EXPECT_EQ(token->lifetime, absl::Seconds(one.seconds)) << one.body;
  }
  const std::string big(12 << 10, 'x');
  EXPECT_EQ(ParseToken("{\"token\":\"" + big + "\"}")->value, big);
}

TEST(RegistryToken, IMG_3_WhatIsNoTokenIsRefused) {
  for (const std::string& body :
       {std::string("<html>"), std::string("{}"), std::string("[]"),
        std::string(R"({"token":"a\r\nX: y"})"),
        std::string(R"({"token":"a\u0000"})"),
        "{\"token\":\"" + std::string(kMaxTokenBytes + 1, 'x') + "\"}"}) {
    EXPECT_EQ(ParseToken(body).status().code(), absl::StatusCode::kDataLoss)
        << body.substr(0, 40);
  }
}

TEST(RegistryToken, IMG_5_CredentialsGoToTheRealmOfTheRegistryAlone) {
  const Credentials kim = PasswordOfKim();
  TokenAsker asker = Registry("https://r.example/");
  auto plan = PlanToken(asker, Bearer("https://auth.other/t"), "s", kim);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->credentials.secret, kim.secret);
  // Neither skip_verify nor the client certificate go to another host.
  EXPECT_EQ(plan->tls.ca_pem, "CA");
  EXPECT_FALSE(plan->tls.skip_verify);
  EXPECT_EQ(plan->tls.client_cert, "");
  plan = PlanToken(asker, Bearer("https://r.example:444/t"), "s", kim);
  EXPECT_TRUE(plan->tls.skip_verify);

  asker.is_registry = false;
  plan = PlanToken(asker, Bearer("https://r.example/t"), "s", kim);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->credentials.anonymous());
}

TEST(RegistryToken, IMG_5_RealmsOfPlainHttp) {
  const Credentials kim = PasswordOfKim();
  const auto planned = [&](const char* registry, const char* realm,
                           bool configured) {
    TokenAsker asker = Registry(registry);
    asker.plain_configured = configured;
    return PlanToken(asker, Bearer(realm), "s", kim).ok();
  };
  EXPECT_FALSE(planned("https://r.example/", "http://r.example/t", false));
  EXPECT_FALSE(planned("https://r.example/", "http://r.example/t", true));
  EXPECT_FALSE(planned("http://r.example/", "http://r.example/t", false));
  EXPECT_TRUE(planned("http://r.example/", "http://r.example/t", true));
  EXPECT_TRUE(planned("http://127.0.0.1:1/", "http://127.0.0.1:2/t", false));
  EXPECT_FALSE(planned("http://127.0.0.1:1/", "http://r.example/t", false));
  EXPECT_FALSE(planned("https://r.example/", "ftp://r.example/t", true));
  EXPECT_FALSE(planned("https://r.example/", "", true));
}

TEST(RegistryToken, ScopeOfTheChallengeElseOurs) {
  const TokenAsker asker = Registry("https://r.example/");
  Challenge bearer = Bearer("https://r.example/t");
  EXPECT_EQ(PlanToken(asker, bearer, "ours", {})->scope, "ours");
  bearer.parameters["scope"] = "theirs";
  EXPECT_EQ(PlanToken(asker, bearer, "ours", {})->scope, "theirs");
}

TokenRequest RequestOf(const Credentials& credentials) {
  TokenRequest request;
  request.realm = *ParseUrl("https://auth.example/t?a=%2F");
  request.service = "my reg";
  request.scope = "repository:x/y:pull repository:z:pull";
  request.credentials = credentials;
  return request;
}

absl::StatusOr<Token> Fetch(const TokenRequest& request,
                            FakeTransport* transport) {
  return FetchToken(request, {}, transport, base::Deadline::Never());
}

TEST(RegistryToken, AnonymousByGetWithTheQueryOfTheRealmKept) {
  FakeTransport transport([](const HttpRequest&) {
    return FakeAnswer{200, {}, R"({"token":"t"})"};
  });
  ASSERT_TRUE(Fetch(RequestOf({}), &transport).ok());
  ASSERT_EQ(transport.requests.size(), 1);
  EXPECT_EQ(transport.requests[0].url.target,
            "/t?a=%2F&service=my%20reg&scope=repository%3Ax%2Fy%3Apull"
            "&scope=repository%3Az%3Apull");
  EXPECT_EQ(HeaderOf(transport.requests[0], "Authorization"), "");
}

TEST(RegistryToken, PasswordAndIdentityTokenByPost) {
  FakeTransport transport([](const HttpRequest&) {
    return FakeAnswer{200, {}, R"({"access_token":"t"})"};
  });
  ASSERT_TRUE(Fetch(RequestOf(PasswordOfKim()), &transport).ok());
  Credentials identity;
  identity.kind = Credentials::Kind::kIdentityToken;
  identity.secret = "r&t";
  ASSERT_TRUE(Fetch(RequestOf(identity), &transport).ok());
  ASSERT_EQ(transport.requests.size(), 2);
  EXPECT_EQ(transport.requests[0].url.target, "/t?a=%2F");
  EXPECT_THAT(transport.requests[0].body,
              HasSubstr("grant_type=password&username=kim&password=p%26w"));
  EXPECT_THAT(transport.requests[1].body,
              HasSubstr("grant_type=refresh_token&refresh_token=r%26t"));
}

TEST(RegistryToken, RefusedPostIsAskedByGet) {
  for (const int refusal : {400, 401, 403, 404, 405, 302}) {
    FakeTransport transport([&](const HttpRequest& request) {
      return request.method == HttpRequest::Method::kPost
                 ? FakeAnswer{refusal, {{"Location", "https://evil/"}}, ""}
                 : FakeAnswer{200, {}, R"({"token":"t"})"};
    });
    ASSERT_TRUE(Fetch(RequestOf(PasswordOfKim()), &transport).ok()) << refusal;
    ASSERT_EQ(transport.requests.size(), 2);
    EXPECT_EQ(HeaderOf(transport.requests[1], "Authorization"),
              BasicAuthorization("kim", "p&w"));
    EXPECT_EQ(transport.requests[1].url.host, "auth.example");
  }
}

TEST(RegistryToken, IMG_5_NoCredentialsAlongARedirectToAnotherHost) {
  FakeTransport transport([](const HttpRequest& request) {
    return request.method == HttpRequest::Method::kPost
               ? FakeAnswer{404, {}, ""}
               : FakeAnswer{307, {{"Location", "https://evil/t"}}, ""};
  });
  const auto token = Fetch(RequestOf(PasswordOfKim()), &transport);
  EXPECT_EQ(token.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(token.status().message()),
              HasSubstr("token server auth.example"));
  for (const HttpRequest& request : transport.requests) {
    EXPECT_EQ(request.url.host, "auth.example");
  }
}

TEST(RegistryToken, RedirectOnTheSameHostIsFollowed) {
  FakeTransport transport([](const HttpRequest& request) {
    return absl::StartsWith(request.url.target, "/v2/")
               ? FakeAnswer{200, {}, R"({"token":"t"})"}
               : FakeAnswer{308, {{"Location", "/v2/t"}}, ""};
  });
  ASSERT_TRUE(Fetch(RequestOf(PasswordOfKim()), &transport).ok());
  ASSERT_EQ(transport.requests.size(), 2);
  EXPECT_EQ(transport.requests[1].method, HttpRequest::Method::kPost);
}

TEST(RegistryToken, ErrorsNameTheServerAndNoSecret) {
  const struct {
    FakeAnswer answer;
    absl::StatusCode code;
  } cases[] = {
      {{401, {}, R"({"details":"p&w"})"}, absl::StatusCode::kUnauthenticated},
      {{403, {}, "p&w"}, absl::StatusCode::kPermissionDenied},
      {{404, {}, ""}, absl::StatusCode::kDataLoss},
      {{500, {}, "p&w"}, absl::StatusCode::kUnavailable},
      {{200, {}, "<html>p&w</html>"}, absl::StatusCode::kDataLoss},
      {{200, {}, std::string(kMaxTokenAnswerBytes + 1, ' ')},
       absl::StatusCode::kDataLoss},
  };
  for (const auto& one : cases) {
    FakeTransport transport([&](const HttpRequest&) { return one.answer; });
    const auto token = Fetch(RequestOf(PasswordOfKim()), &transport);
    EXPECT_EQ(token.status().code(), one.code) << token.status();
    const std::string text = token.status().ToString();
    EXPECT_THAT(text, HasSubstr("token server auth.example"));
    EXPECT_THAT(text, Not(HasSubstr("p&w")));
    EXPECT_THAT(text, Not(HasSubstr("scope")));
  }
}

TEST(RegistryToken, EndlessRedirectsEnd) {
  FakeTransport transport([](const HttpRequest&) {
    return FakeAnswer{302, {{"Location", "/t"}}, ""};
  });
  EXPECT_FALSE(Fetch(RequestOf({}), &transport).ok());
  EXPECT_LE(transport.requests.size(), 12);
}

}  // namespace
}  // namespace warren::registry
