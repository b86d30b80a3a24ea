#include "runtime/image/registry/host_session.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/base/status.h"
#include "runtime/image/registry/answer.h"
#include "runtime/image/registry/challenge.h"
#include "runtime/image/registry/redirects.h"
#include "runtime/image/registry/token_client.h"

namespace warren::registry {
namespace {

// How long a loopback registry may take to show that it speaks TLS.
constexpr absl::Duration kSchemeLimit = absl::Seconds(5);

// Lets a 2xx through to the sink and keeps the rest small.
class Gate : public HttpSink {
 public:
  explicit Gate(HostSink* sink)
      : sink_(sink), other_(kMaxErrorBodyBytes, /*only_the_start=*/true) {}

  absl::Status OnHead(const HttpHead& head) override {
    RETURN_IF_ERROR(other_.OnHead(head));
    open_ = head.status / 100 == 2;
    return open_ ? sink_->OnHead(head) : absl::OkStatus();
  }
  absl::Status OnBody(absl::string_view bytes) override {
    return open_ ? sink_->OnBody(bytes) : other_.OnBody(bytes);
  }

  bool open() const { return open_; }
  const CollectSink& other() const { return other_; }

 private:
  HostSink* const sink_;
  CollectSink other_;
  bool open_ = false;
};

// What tells a mirror whose image it is asked for.
std::string NamespaceQuery(const Endpoint& endpoint,
                           const std::string& registry) {
  const std::string host = endpoint.url.HostAndPort();
  const bool docker_hub =
      registry == "docker.io" && host == "registry-1.docker.io";
  if (docker_hub || absl::EqualsIgnoreCase(host, registry)) return "";
  return absl::StrCat("?ns=", PercentEncode(registry));
}

}  // namespace

// Where a request stands: at the host, or at the target of a redirect.
struct HostSession::Hop {
  Url url;
  bool away = false;          // it has left the host's origin, for good
  std::string authorization;  // sent with the last try
  AuthRounds rounds;
  std::string away_token;  // header for the target, fetched anonymously
  int redirects = 0;
  // True when another try shall be sent.
  bool again = false;
};

HostSession::HostSession(Endpoint endpoint, const std::string& registry,
                         const std::string& repository,
                         const Credentials& credentials,
                         const HttpLimits& limits, Transport* transport)
    : endpoint_(std::move(endpoint)),
      prefix_(absl::StrCat(endpoint_.url.target, "/", repository)),
      query_(NamespaceQuery(endpoint_, registry)),
      scope_(absl::StrCat("repository:", repository, ":pull")),
      limits_(limits),
      transport_(transport),
      authorizer_(scope_, endpoint_.is_registry ? credentials : Credentials(),
                  limits, transport),
      scheme_(endpoint_.may_be_plain ? Scheme::kUnknown
              : endpoint_.url.https  ? Scheme::kHttps
                                     : Scheme::kHttp) {}

Url HostSession::Here() const {
  Url url = endpoint_.url;
  if (scheme_ != Scheme::kHttp || !url.https) return url;
  url.https = false;
  if (url.port == 443) url.port = 80;
  return url;
}

HttpRequest HostSession::Build(const HostRequest& request,
                               const Hop& hop) const {
  HttpRequest http;
  http.method = request.method;
  http.url = hop.url;
  http.headers = request.headers;
  // The digest is of the bytes as they are stored.
  http.headers.emplace_back("Accept-Encoding", "identity");
  http.limits = limits_;
  http.tls = TlsFor(endpoint_.tls, endpoint_.url, hop.url);
  if (!hop.away) {
    http.headers.insert(http.headers.end(), endpoint_.headers.begin(),
                        endpoint_.headers.end());
  }
  if (!hop.authorization.empty()) {
    http.headers.emplace_back("Authorization", hop.authorization);
  }
  return http;
}

absl::Status HostSession::Transmit(const HttpRequest& http, HttpSink* sink,
                                   const base::Deadline& deadline) {
  const bool probes =
      scheme_ == Scheme::kUnknown && http.url.SameOrigin(endpoint_.url);
  if (!probes) return transport_->Send(http, sink, deadline);
  HttpRequest first = http;
  first.limits.connect = std::min(first.limits.connect, kSchemeLimit);
  absl::Status status = transport_->Send(first, sink, deadline);
  const TransportFailure failure = FailureOf(status);
  if (status.ok()) scheme_ = Scheme::kHttps;
  if (failure != TransportFailure::kNotTls &&
      failure != TransportFailure::kConnect) {
    return status;
  }
  HttpRequest plain = http;
  plain.url.https = false;
  if (plain.url.port == 443) plain.url.port = 80;
  status = transport_->Send(plain, sink, deadline);
  if (status.ok()) scheme_ = Scheme::kHttp;
  return status;
}

absl::Status HostSession::OnUnauthorized(const HttpHead& head, Hop* hop,
                                         const base::Deadline& deadline) {
  const std::vector<Challenge> challenges =
      ParseChallenges(head.FindAll("WWW-Authenticate"));
  TokenAsker asker;
  asker.url = hop->url;
  if (!hop->away) {
    asker.url = Here();
    asker.tls = endpoint_.tls;
    asker.is_registry = endpoint_.is_registry;
    asker.plain_configured = !endpoint_.url.https;
    return authorizer_.Answer(asker, challenges, hop->authorization,
                              &hop->rounds, deadline);
  }
  asker.tls = TlsFor(endpoint_.tls, endpoint_.url, hop->url);
  Authorizer anonymous(scope_, Credentials(), limits_, transport_);
  RETURN_IF_ERROR(anonymous.Answer(asker, challenges, hop->authorization,
                                   &hop->rounds, deadline));
  hop->away_token = anonymous.Header();
  return absl::OkStatus();
}

absl::Status HostSession::SendOnce(const HostRequest& request, Hop* hop,
                                   HostSink* sink,
                                   const base::Deadline& deadline) {
  hop->again = false;
  hop->authorization = hop->away ? hop->away_token : authorizer_.Header();
  Gate gate(sink);
  const absl::Status sent = Transmit(Build(request, *hop), &gate, deadline);
  if (!sent.ok() && !gate.other().has_enough()) return sent;
  if (gate.open()) return absl::OkStatus();
  const HttpHead& head = gate.other().head();
  if (!hop->away && hop->url.SameOrigin(endpoint_.url)) {
    // From here on with the scheme that answered.
    const Url here = Here();
    hop->url.https = here.https;
    hop->url.port = here.port;
  }
  ASSIGN_OR_RETURN(const std::optional<Url> next, RedirectOf(hop->url, head));
  if (next) {
    if (++hop->redirects > kMaxRedirects) {
      return absl::DataLossError("redirects too often");
    }
    hop->again = true;
    hop->away = hop->away || !next->SameOrigin(Here());
    hop->url = *next;
    hop->away_token.clear();
    return absl::OkStatus();
  }
  if (head.status == 401 &&
      !ParseChallenges(head.FindAll("WWW-Authenticate")).empty()) {
    RETURN_IF_ERROR(OnUnauthorized(head, hop, deadline));
    hop->again = true;
    return absl::OkStatus();
  }
  absl::Status error = AnswerError(head, gate.other().body());
  // A signed address may be too old: the registry gives a new one.
  return hop->away ? MarkTransient(std::move(error)) : error;
}

absl::Status HostSession::Send(const HostRequest& request, HostSink* sink,
                               const base::Deadline& deadline) {
  Hop hop;
  hop.url = Here();
  hop.url.target = absl::StrCat(prefix_, request.path, query_);
  while (true) {
    const absl::Status status = SendOnce(request, &hop, sink, deadline);
    if (!status.ok() && hop.away) {
      return base::Annotate(
          status, absl::StrCat("redirected to ", hop.url.HostAndPort()));
    }
    if (!status.ok() || !hop.again) return status;
  }
}

}  // namespace warren::registry
