#include "runtime/image/registry/token_client.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <optional>
#include <utility>
#include <vector>

#include "runtime/base/status.h"
#include "runtime/image/json.h"
#include "runtime/image/registry/answer.h"
#include "runtime/image/registry/redirects.h"

namespace warren::registry {
namespace {

constexpr absl::Duration kShortestLife = absl::Seconds(60);
constexpr int64_t kLongestLifeSeconds = 24 * 3600;
constexpr char kClientId[] = "warren";

using Kind = Credentials::Kind;

// "name=value" with an "&" in front where something stands before it.
void AddPair(absl::string_view name, absl::string_view value,
             std::string* form) {
  if (value.empty()) return;
  if (!form->empty() && form->back() != '?' && form->back() != '&') {
    *form += '&';
  }
  absl::StrAppend(form, name, "=", PercentEncode(value));
}

// Each scope of a list is a pair of its own in a query.
void AddScopes(absl::string_view scopes, std::string* query) {
  for (const absl::string_view scope :
       absl::StrSplit(scopes, ' ', absl::SkipEmpty())) {
    AddPair("scope", scope, query);
  }
}

HttpRequest GetRequest(const TokenRequest& request) {
  HttpRequest http;
  http.url = request.realm;
  std::string& target = http.url.target;
  if (!absl::StrContains(target, '?')) target += '?';
  if (request.credentials.kind == Kind::kPassword) {
    AddPair("account", request.credentials.username, &target);
  }
  AddPair("service", request.service, &target);
  AddScopes(request.scope, &target);
  if (!request.credentials.anonymous()) {
    http.headers.emplace_back("Authorization",
                              BasicAuthorization(request.credentials.username,
                                                 request.credentials.secret));
  }
  return http;
}

HttpRequest PostRequest(const TokenRequest& request) {
  HttpRequest http;
  http.method = HttpRequest::Method::kPost;
  http.url = request.realm;
  http.headers.emplace_back("Content-Type",
                            "application/x-www-form-urlencoded");
  const Credentials& credentials = request.credentials;
  if (credentials.kind == Kind::kIdentityToken) {
    AddPair("grant_type", "refresh_token", &http.body);
    AddPair("refresh_token", credentials.secret, &http.body);
  } else {
    AddPair("grant_type", "password", &http.body);
    AddPair("username", credentials.username, &http.body);
    AddPair("password", credentials.secret, &http.body);
  }
  AddPair("service", request.service, &http.body);
  AddPair("client_id", kClientId, &http.body);
  AddPair("scope", request.scope, &http.body);
  return http;
}

// What one exchange brought, redirects of the same origin followed.
struct TokenAnswer {
  HttpHead head;
  std::string body;
};

absl::StatusOr<TokenAnswer> Exchange(const TokenRequest& request,
                                     HttpRequest http, const HttpLimits& limits,
                                     Transport* transport,
                                     const base::Deadline& deadline) {
  http.limits = limits;
  http.tls = request.tls;
  http.headers.emplace_back("Accept", "application/json");
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    CollectSink sink(kMaxTokenAnswerBytes, /*only_the_start=*/false);
    RETURN_IF_ERROR(transport->Send(http, &sink, deadline));
    ASSIGN_OR_RETURN(std::optional<Url> next,
                     RedirectOf(http.url, sink.head()));
    const bool keeps_method =
        sink.head().status == 307 || sink.head().status == 308;
    const bool is_post = http.method == HttpRequest::Method::kPost;
    if (!next || (is_post && !keeps_method)) {
      return TokenAnswer{sink.head(), sink.body()};
    }
    if (!next->SameOrigin(http.url)) {
      if (!request.credentials.anonymous()) {
        return absl::DataLossError(
            absl::StrCat("redirects to ", next->HostAndPort(),
                         ", which may not have the credentials"));
      }
      http.tls = TlsFor(http.tls, http.url, *next);
    }
    http.url = *std::move(next);
  }
  return absl::DataLossError("redirects too often");
}

// The server knows no POST, or not for us; it is asked in the older way.
bool RefusesPost(int status) {
  return status >= 300 && status < 500 && status != 408 && status != 429;
}

absl::StatusOr<Token> FetchOnce(const TokenRequest& request,
                                const HttpLimits& limits, Transport* transport,
                                const base::Deadline& deadline) {
  std::optional<TokenAnswer> answer;
  if (!request.credentials.anonymous()) {
    ASSIGN_OR_RETURN(answer, Exchange(request, PostRequest(request), limits,
                                      transport, deadline));
    if (RefusesPost(answer->head.status)) answer.reset();
  }
  if (!answer) {
    ASSIGN_OR_RETURN(answer, Exchange(request, GetRequest(request), limits,
                                      transport, deadline));
  }
  if (answer->head.status != 200) {
    absl::Status error = AnswerError(answer->head, answer->body);
    // Only a registry can say that an image is not there.
    if (!absl::IsNotFound(error)) return error;
    return absl::DataLossError(error.message());
  }
  return ParseToken(answer->body);
}

}  // namespace

absl::StatusOr<TokenRequest> PlanToken(const TokenAsker& asker,
                                       const Challenge& bearer,
                                       const std::string& scope,
                                       const Credentials& credentials) {
  const auto realm = ParseUrl(bearer.Get("realm"));
  if (!realm.ok()) {
    return absl::DataLossError(absl::StrCat(
        "names a token server by what is no ", realm.status().message()));
  }
  const bool both_on_loopback =
      IsLoopback(asker.url.host) && IsLoopback(realm->host);
  if (!realm->https &&
      (asker.url.https || !(asker.plain_configured || both_on_loopback))) {
    return absl::DataLossError(absl::StrCat(
        "names a token server of plain http: ", realm->HostAndPort()));
  }
  TokenRequest request;
  request.realm = *realm;
  request.service = bearer.Get("service");
  request.scope = bearer.Get("scope").empty() ? scope : bearer.Get("scope");
  request.tls = TlsFor(asker.tls, asker.url, *realm);
  const bool usable = credentials.kind == Kind::kPassword ||
                      credentials.kind == Kind::kIdentityToken;
  if (asker.is_registry && usable) request.credentials = credentials;
  return request;
}

absl::StatusOr<Token> ParseToken(absl::string_view body) {
  const auto document = image::ParseJsonObject(body);
  if (!document.ok()) return absl::DataLossError("sends no JSON object");
  for (const char* const field : {"token", "access_token"}) {
    const auto value = image::OptionalString(*document, field);
    if (!value.ok() || value->empty()) continue;
    if (!FitsHeader(*value, kMaxTokenBytes)) {
      return absl::DataLossError("sends a token that fits no header");
    }
    Token token{*value, kShortestLife};
    const auto seconds = image::RequiredCount(*document, "expires_in");
    if (seconds.ok() && *seconds <= kLongestLifeSeconds) {
      token.lifetime = std::max(kShortestLife,
                                absl::Seconds(static_cast<int64_t>(*seconds)));
    }
    return token;
  }
  return absl::DataLossError("sends no token");
}

absl::StatusOr<Token> FetchToken(const TokenRequest& request,
                                 const HttpLimits& limits, Transport* transport,
                                 const base::Deadline& deadline) {
  auto token = FetchOnce(request, limits, transport, deadline);
  if (token.ok()) return token;
  return base::Annotate(
      token.status(),
      absl::StrCat("token server ", request.realm.HostAndPort()));
}

}  // namespace warren::registry
