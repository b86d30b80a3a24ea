#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include <map>
#include <string>
#include <vector>

#include "agent/convert/convert.h"
#include "agent/cri/validate.h"
#include "runtime/base/status.h"

// What the program of a container is called with.
namespace warren::agent {
namespace {

constexpr char kDefaultPath[] =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

}  // namespace

absl::StatusOr<std::vector<std::string>> ProcessArgs(
    const cri::ContainerConfig& config, const image::ImageConfig& image) {
  std::vector<std::string> args(config.command().begin(),
                                config.command().end());
  if (args.empty()) args = image.entrypoint;
  if (config.args_size() > 0) {
    args.insert(args.end(), config.args().begin(), config.args().end());
  } else if (config.command_size() == 0) {
    args.insert(args.end(), image.cmd.begin(), image.cmd.end());
  }
  if (args.empty() || args[0].empty()) {
    return Invalid("config.command",
                   "no command: neither the request nor the image has one");
  }
  for (const std::string& arg : args) {
    if (absl::StrContains(arg, '\0')) {
      return Invalid("config.command", "an argument holds a NUL byte");
    }
  }
  return args;
}

absl::StatusOr<std::vector<std::string>> ProcessEnv(
    const cri::ContainerConfig& config, const image::ImageConfig& image,
    absl::string_view hostname) {
  std::vector<std::string> env;  // in the order of first appearance
  std::map<std::string, size_t> places;
  const auto set = [&](const std::string& key, absl::string_view value) {
    const auto [place, fresh] = places.try_emplace(key, env.size());
    if (fresh) env.emplace_back();
    env[place->second] = absl::StrCat(key, "=", value);
  };
  for (const std::string& entry : image.env) {
    const size_t equals = entry.find('=');
    // Malformed variables of an image are left out.
    if (equals == std::string::npos ||
        !CheckEnvKey("", entry.substr(0, equals)).ok() ||
        absl::StrContains(entry, '\0')) {
      continue;
    }
    set(entry.substr(0, equals), entry.substr(equals + 1));
  }
  set("HOSTNAME", hostname);
  for (int i = 0; i < config.envs_size(); ++i) {
    const cri::KeyValue& pair = config.envs(i);
    const std::string field = absl::StrCat("config.envs[", i, "]");
    RETURN_IF_ERROR(CheckEnvKey(absl::StrCat(field, ".key"), pair.key()));
    if (absl::StrContains(pair.value(), '\0')) {
      return Invalid(absl::StrCat(field, ".value"), "holds a NUL byte");
    }
    set(pair.key(), pair.value());
  }
  if (places.count("PATH") == 0) env.push_back(kDefaultPath);
  if (config.tty() && places.count("TERM") == 0) env.push_back("TERM=xterm");
  return env;
}

}  // namespace warren::agent
