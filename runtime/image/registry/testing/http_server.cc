#include "runtime/image/registry/testing/http_server.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <utility>

namespace warren::registry::testing {
namespace {

constexpr unsigned char kTlsHandshake = 0x16;

}  // namespace

std::string ServerRequest::Get(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

void Exchange::Head(int status, const ServerHeaders& headers) {
  std::string text = absl::StrCat("HTTP/1.1 ", status, " Word\r\n");
  for (const auto& header : headers) {
    absl::StrAppend(&text, header.first, ": ", header.second, "\r\n");
  }
  Write(absl::StrCat(text, "\r\n"));
}

void Exchange::Respond(int status, const ServerHeaders& headers,
                       absl::string_view body) {
  ServerHeaders all = headers;
  all.emplace_back("Content-Length", absl::StrCat(body.size()));
  Head(status, all);
  if (!is_head) Write(body);
}

// One client.
class HttpServer::Connection : public Exchange {
 public:
  explicit Connection(base::UniqueFd fd) : fd_(std::move(fd)) {}

  // The handshake of TLS; false when it fails.
  bool Start(const TlsIdentity* identity) {
    if (identity == nullptr) {
      unsigned char first = 0;
      return recv(fd_.get(), &first, 1, MSG_PEEK) == 1 &&
             first != kTlsHandshake;
    }
    ssl_.reset(SSL_new(identity->context()));
    SSL_set_fd(ssl_.get(), fd_.get());
    return SSL_accept(ssl_.get()) == 1;
  }

  bool Write(absl::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t sent =
          ssl_ == nullptr
              ? send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL)
              : SSL_write(ssl_.get(), bytes.data(),
                          static_cast<int>(bytes.size()));
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  void Close() override { closing_ = true; }
  void Reset() override {
    closing_ = true;
    const linger now = {1, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    reset_ = true;
  }
  void AwaitEnd() override {
    char ignored = 0;
    while (recv(fd_.get(), &ignored, 1, 0) > 0) {
    }
    closing_ = true;
  }

  std::optional<ServerRequest> Read();
  void Stop() { shutdown(fd_.get(), SHUT_RDWR); }
  void End() {
    // A reset is sent by close(2) alone.
    if (!reset_) Stop();
    if (reset_) fd_.reset();
  }
  bool closing() const { return closing_; }

 private:
  bool Fill() {
    char buffer[16384];
    const ssize_t got =
        ssl_ == nullptr
            ? recv(fd_.get(), buffer, sizeof(buffer), 0)
            : SSL_read(ssl_.get(), buffer, static_cast<int>(sizeof(buffer)));
    if (got <= 0) return false;
    read_.append(buffer, static_cast<size_t>(got));
    return true;
  }

  struct SslFree {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };

  base::UniqueFd fd_;
  std::unique_ptr<SSL, SslFree> ssl_;
  std::string read_;
  bool closing_ = false;
  bool reset_ = false;
};

std::optional<ServerRequest> HttpServer::Connection::Read() {
  size_t end = 0;
  while ((end = read_.find("\r\n\r\n")) == std::string::npos) {
    if (!Fill()) return std::nullopt;
  }
  const std::vector<std::string> lines =
      absl::StrSplit(read_.substr(0, end), "\r\n");
  read_.erase(0, end + 4);
  const std::vector<std::string> words = absl::StrSplit(lines[0], ' ');
  if (words.size() != 3) return std::nullopt;
  ServerRequest request;
  request.method = words[0];
  request.target = words[1];
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t colon = lines[i].find(':');
    if (colon == std::string::npos) return std::nullopt;
    request.headers[absl::AsciiStrToLower(lines[i].substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(lines[i].substr(colon + 1)));
  }
  size_t length = 0;
  if (request.Has("content-length") &&
      !absl::SimpleAtoi(request.Get("content-length"), &length)) {
    return std::nullopt;
  }
  while (read_.size() < length) {
    if (!Fill()) return std::nullopt;
  }
  request.body = read_.substr(0, length);
  read_.erase(0, length);
  is_head = request.method == "HEAD";
  return request;
}

HttpServer::HttpServer(Handler handler, const TlsIdentity* identity)
    : handler_(std::move(handler)), identity_(identity) {
  listener_.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_.get(), raw, size) != 0 ||
      listen(listener_.get(), SOMAXCONN) != 0 ||
      getsockname(listener_.get(), raw, &size) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

HttpServer::~HttpServer() {
  stopping_ = true;
  shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  std::vector<std::thread> threads;
  {
    base::MutexLock lock(&mutex_);
    for (const auto& connection : open_) connection->Stop();
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

std::string HttpServer::host() const {
  return absl::StrCat("127.0.0.1:", port_);
}

std::string HttpServer::url() const {
  return absl::StrCat(identity_ == nullptr ? "http://" : "https://", host());
}

std::vector<ServerRequest> HttpServer::requests() const {
  base::MutexLock lock(&mutex_);
  return requests_;
}

void HttpServer::Accept() {
  while (!stopping_) {
    base::UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.valid()) continue;
    auto connection = std::make_unique<Connection>(std::move(fd));
    Connection* const borrowed = connection.get();
    base::MutexLock lock(&mutex_);
    open_.push_back(std::move(connection));
    threads_.emplace_back([this, borrowed] { Serve(borrowed); });
  }
}

void HttpServer::Serve(Connection* connection) {
  // OpenSSL writes to a client that has gone. Of this thread alone: the client
  // under test has to do without.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  if (connection->Start(identity_)) {
    const int number = ++connections_;
    while (!connection->closing() && !stopping_) {
      std::optional<ServerRequest> request = connection->Read();
      if (!request) break;
      request->connection = number;
      {
        base::MutexLock lock(&mutex_);
        requests_.push_back(*request);
      }
      handler_(*request, connection);
    }
  }
  base::MutexLock lock(&mutex_);
  connection->End();
}

}  // namespace warren::registry::testing
