#include "runtime/image/registry/hosts_file.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/strip.h>
#include <fcntl.h>

// Errors as values: parse() returns a result instead of throwing.
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/base/file.h"
#include "runtime/base/look.h"
#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"
#include "runtime/image/registry/credentials.h"

namespace warren::registry {
namespace {

constexpr size_t kMaxFileBytes = 1 << 20;
constexpr size_t kMaxHosts = 64;
constexpr size_t kMaxHeaderValueBytes = 8 << 10;
constexpr char kFileName[] = "hosts.toml";
constexpr char kDefaultName[] = "_default";

// Reads one hosts.toml. Errors name file and line.
class HostsReader {
 public:
  explicit HostsReader(std::string directory)
      : directory_(std::move(directory)) {}

  absl::Status ReadHost(const toml::table& table, Endpoint* endpoint) const;
  absl::StatusOr<std::vector<Endpoint>> ReadMirrors(
      const toml::table& file) const;

  absl::Status Bad(const toml::node& node, absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(
        directory_, "/", kFileName, ":", node.source().begin.line, ": ", what));
  }

 private:
  absl::StatusOr<std::vector<std::string>> Strings(
      const toml::node& node, absl::string_view what) const;
  absl::Status ReadCapabilities(const toml::node& node,
                                Endpoint* endpoint) const;
  absl::Status ReadCa(const toml::node& node, TlsSettings* tls) const;
  absl::Status ReadClient(const toml::node& node, TlsSettings* tls) const;
  absl::Status ReadHeaders(const toml::node& node, Headers* headers) const;
  std::string Absolute(const std::string& path) const {
    return absl::StartsWith(path, "/") ? path
                                       : absl::StrCat(directory_, "/", path);
  }

  const std::string directory_;
};

// Where the name of a registry leads when nothing says otherwise.
absl::StatusOr<Endpoint> DefaultEndpoint(absl::string_view registry) {
  const bool docker_hub = registry == "docker.io";
  Endpoint endpoint;
  ASSIGN_OR_RETURN(
      endpoint.url,
      ParseUrl(absl::StrCat("https://",
                            docker_hub ? "registry-1.docker.io" : registry)));
  if (endpoint.url.target != "/") {
    return absl::InvalidArgumentError("registry: no host name");
  }
  endpoint.url.target = "/v2";
  endpoint.is_registry = true;
  endpoint.may_be_plain = IsLoopback(endpoint.url.host);
  return endpoint;
}

// The address of a host or server, its prefix complete.
absl::StatusOr<Url> HostUrl(absl::string_view text, bool override_path) {
  const bool has_scheme = absl::StrContains(text, "://");
  ASSIGN_OR_RETURN(Url url,
                   ParseUrl(has_scheme ? std::string(text)
                                       : absl::StrCat("https://", text)));
  if (url.host == "docker.io") url.host = "registry-1.docker.io";
  if (absl::StrContains(url.target, '?')) {
    return absl::InvalidArgumentError("address: has a query");
  }
  while (absl::EndsWith(url.target, "/")) url.target.pop_back();
  if (!override_path && !absl::EndsWith(url.target, "/v2")) {
    url.target += "/v2";
  }
  return url;
}

absl::StatusOr<std::vector<std::string>> HostsReader::Strings(
    const toml::node& node, absl::string_view what) const {
  if (const auto text = node.value_exact<std::string>()) {
    return std::vector<std::string>{*text};
  }
  std::vector<std::string> list;
  const toml::array* const array = node.as_array();
  if (array == nullptr) {
    return Bad(node, absl::StrCat(what, ": must be text or a list of it"));
  }
  for (const toml::node& element : *array) {
    const auto text = element.value_exact<std::string>();
    if (!text) {
      return Bad(node, absl::StrCat(what, ": must hold text only"));
    }
    list.push_back(*text);
  }
  return list;
}

absl::Status HostsReader::ReadCapabilities(const toml::node& node,
                                           Endpoint* endpoint) const {
  ASSIGN_OR_RETURN(const auto list, Strings(node, "capabilities"));
  endpoint->resolve = false;
  endpoint->pull = false;
  for (const std::string& one : list) {
    if (one == "resolve") {
      endpoint->resolve = true;
    } else if (one == "pull") {
      endpoint->pull = true;
    } else if (one != "push" && one != "referrers") {
      return Bad(node, "capabilities: unknown one");
    }
  }
  return absl::OkStatus();
}

absl::Status HostsReader::ReadCa(const toml::node& node,
                                 TlsSettings* tls) const {
  ASSIGN_OR_RETURN(const auto paths, Strings(node, "ca"));
  for (const std::string& path : paths) {
    auto pem = base::ReadRegularFileAt(AT_FDCWD, Absolute(path), kMaxFileBytes);
    if (!pem.ok())
      return Bad(node, absl::StrCat("ca: ", pem.status().message()));
    absl::StrAppend(&tls->ca_pem, *pem, "\n");
  }
  return absl::OkStatus();
}

absl::Status HostsReader::ReadClient(const toml::node& node,
                                     TlsSettings* tls) const {
  const toml::array* const array = node.as_array();
  const toml::node* const first =
      array != nullptr && !array->empty() ? &(*array)[0] : &node;
  ASSIGN_OR_RETURN(const auto pair, Strings(*first, "client"));
  if (pair.empty() || pair.size() > 2) {
    return Bad(node, "client: must be a file or pairs of certificate and key");
  }
  tls->client_cert = Absolute(pair[0]);
  if (pair.size() == 2 && !pair[1].empty()) {
    tls->client_key = Absolute(pair[1]);
  }
  return absl::OkStatus();
}

absl::Status HostsReader::ReadHeaders(const toml::node& node,
                                      Headers* headers) const {
  const toml::table* const table = node.as_table();
  if (table == nullptr) return Bad(node, "header: must be a table");
  for (const auto& [key, value] : *table) {
    const std::string name(key.str());
    const bool named = std::all_of(name.begin(), name.end(), [](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
             c == '_';
    });
    if (name.empty() || !named) return Bad(value, "header: no name of one");
    ASSIGN_OR_RETURN(const auto list, Strings(value, "header"));
    for (const std::string& text : list) {
      if (!FitsHeader(text, kMaxHeaderValueBytes)) {
        return Bad(value, "header: the value fits no header");
      }
      headers->emplace_back(name, text);
    }
  }
  return absl::OkStatus();
}

absl::Status HostsReader::ReadHost(const toml::table& table,
                                   Endpoint* endpoint) const {
  if (const toml::node* node = table.get("capabilities")) {
    RETURN_IF_ERROR(ReadCapabilities(*node, endpoint));
  }
  if (const toml::node* node = table.get("ca")) {
    RETURN_IF_ERROR(ReadCa(*node, &endpoint->tls));
  }
  if (const toml::node* node = table.get("client")) {
    RETURN_IF_ERROR(ReadClient(*node, &endpoint->tls));
  }
  if (const toml::node* node = table.get("skip_verify")) {
    const auto skip = node->value_exact<bool>();
    if (!skip) return Bad(*node, "skip_verify: must be true or false");
    endpoint->tls.skip_verify = *skip;
  }
  if (const toml::node* node = table.get("header")) {
    RETURN_IF_ERROR(ReadHeaders(*node, &endpoint->headers));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> OverridePath(const HostsReader& reader,
                                  const toml::table& table) {
  const toml::node* const node = table.get("override_path");
  if (node == nullptr) return false;
  const auto value = node->value_exact<bool>();
  if (!value) return reader.Bad(*node, "override_path: must be true or false");
  return *value;
}

absl::StatusOr<std::vector<Endpoint>> HostsReader::ReadMirrors(
    const toml::table& file) const {
  const toml::node* const node = file.get("host");
  if (node == nullptr) return std::vector<Endpoint>();
  const toml::table* const hosts = node->as_table();
  if (hosts == nullptr || hosts->size() > kMaxHosts) {
    return Bad(*node, "host: must be tables, at most 64");
  }
  // The library sorts by name; the order of the file counts.
  std::vector<std::pair<toml::source_position, Endpoint>> found;
  for (const auto& [key, value] : *hosts) {
    const toml::table* const table = value.as_table();
    if (table == nullptr) return Bad(value, "host: must be a table");
    ASSIGN_OR_RETURN(const bool override_path, OverridePath(*this, *table));
    auto url = HostUrl(std::string(key.str()), override_path);
    if (!url.ok()) return Bad(value, url.status().message());
    Endpoint endpoint;
    endpoint.url = *std::move(url);
    RETURN_IF_ERROR(ReadHost(*table, &endpoint));
    found.emplace_back(key.source().begin, std::move(endpoint));
  }
  std::stable_sort(
      found.begin(), found.end(),
      [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Endpoint> mirrors;
  mirrors.reserve(found.size());
  for (auto& one : found) mirrors.push_back(std::move(one.second));
  return mirrors;
}

// Certificates as Docker names them.
absl::Status ReadCertificates(const std::string& directory, TlsSettings* tls) {
  ASSIGN_OR_RETURN(std::vector<std::string> names,
                   base::ListDir(AT_FDCWD, directory));
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(directory, "/", name);
    if (absl::EndsWith(name, ".crt")) {
      ASSIGN_OR_RETURN(const std::string pem,
                       base::ReadRegularFileAt(AT_FDCWD, path, kMaxFileBytes));
      absl::StrAppend(&tls->ca_pem, pem, "\n");
    } else if (absl::EndsWith(name, ".cert") && tls->client_cert.empty()) {
      tls->client_cert = path;
      tls->client_key = absl::StrCat(absl::StripSuffix(path, ".cert"), ".key");
    }
  }
  return absl::OkStatus();
}

// The names that the directory of a registry may have.
std::vector<std::string> DirectoryNames(const std::string& registry) {
  std::vector<std::string> names;
  const size_t colon = registry.rfind(':');
  if (colon != std::string::npos && colon > 0) {
    names.push_back(absl::StrCat(registry.substr(0, colon), "_",
                                 registry.substr(colon + 1), "_"));
  }
  names.push_back(registry);
  names.emplace_back(kDefaultName);
  return names;
}

}  // namespace

absl::StatusOr<std::vector<Endpoint>> ParseHosts(const std::string& text,
                                                 const std::string& directory,
                                                 absl::string_view registry) {
  const HostsReader reader(directory);
  const std::string path = absl::StrCat(directory, "/", kFileName);
  toml::parse_result parsed = toml::parse(std::string_view(text), path);
  if (!parsed) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":", parsed.error().source().begin.line, ": ",
                     std::string(parsed.error().description())));
  }
  const toml::table& file = parsed.table();
  ASSIGN_OR_RETURN(std::vector<Endpoint> endpoints, reader.ReadMirrors(file));
  ASSIGN_OR_RETURN(Endpoint server, DefaultEndpoint(registry));
  for (Endpoint& mirror : endpoints) {
    // The registry in its own list of mirrors is still the registry.
    mirror.is_registry = mirror.url.host == server.url.host &&
                         mirror.url.port == server.url.port;
  }
  if (const toml::node* node = file.get("server")) {
    const auto name = node->value_exact<std::string>();
    if (!name) return reader.Bad(*node, "server: must be text");
    ASSIGN_OR_RETURN(const bool override_path, OverridePath(reader, file));
    if (!name->empty()) {
      auto url = HostUrl(*name, override_path);
      if (!url.ok()) return reader.Bad(*node, url.status().message());
      server.url = *std::move(url);
      server.may_be_plain = false;
    }
  }
  RETURN_IF_ERROR(reader.ReadHost(file, &server));
  endpoints.push_back(std::move(server));
  return endpoints;
}

absl::StatusOr<std::vector<Endpoint>> ReadEndpoints(
    const std::string& hosts_dir, absl::string_view registry) {
  ASSIGN_OR_RETURN(Endpoint only, DefaultEndpoint(registry));
  if (hosts_dir.empty()) return std::vector<Endpoint>{std::move(only)};
  for (const std::string& name : DirectoryNames(std::string(registry))) {
    const std::string directory = absl::StrCat(hosts_dir, "/", name);
    ASSIGN_OR_RETURN(const auto opened,
                     base::ToLook(base::OpenAt(AT_FDCWD, directory,
                                               O_RDONLY | O_DIRECTORY)));
    if (!opened) continue;
    ASSIGN_OR_RETURN(const std::optional<std::string> text,
                     base::ToLook(base::ReadRegularFileAt(
                         opened->get(), kFileName, kMaxFileBytes)));
    if (text && name != kDefaultName) {
      return ParseHosts(*text, directory, registry);
    }
    if (text) {
      ASSIGN_OR_RETURN(std::vector<Endpoint> endpoints,
                       ParseHosts(*text, directory, registry));
      // One server for all registries is none of them.
      Endpoint& server = endpoints.back();
      server.is_registry = server.url.SameOrigin(only.url);
      return endpoints;
    }
    RETURN_IF_ERROR(ReadCertificates(directory, &only.tls));
    break;
  }
  return std::vector<Endpoint>{std::move(only)};
}

}  // namespace warren::registry
