#include "agent/options/options.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>

// Errors as values: parse() returns a result instead of throwing.
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <CLI/CLI.hpp>
#include <utility>

#include "runtime/base/regular_file.h"
#include "runtime/base/status.h"

namespace warren::agent {
namespace {

absl::Status At(const std::string& file, const toml::source_region& source,
                absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(file, ":", source.begin.line, ": ", what));
}

absl::StatusOr<OptionValue> ToValue(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto number = node.value_exact<int64_t>()) return *number;
  if (const auto truth = node.value_exact<bool>()) return *truth;
  if (const toml::array* array = node.as_array()) {
    std::vector<std::string> list;
    for (const toml::node& element : *array) {
      const auto text = element.value_exact<std::string>();
      if (!text) return absl::InvalidArgumentError("must hold strings only");
      list.push_back(*text);
    }
    return OptionValue(std::move(list));
  }
  return absl::InvalidArgumentError(
      "must be a string, a number, true or false, or a list of strings");
}

// Keys of one table; a table inside it is a section of the file.
absl::Status ApplyTable(const toml::table& table, const std::string& prefix,
                        const std::string& file, Options* options) {
  for (const auto& [key, node] : table) {
    const std::string name = absl::StrCat(
        prefix, absl::string_view(key.str().data(), key.str().size()));
    if (const toml::table* section = node.as_table()) {
      if (name != "network" && name != "image" && name != "security" &&
          name != "devices") {
        return At(file, key.source(), absl::StrCat("unknown section ", name));
      }
      RETURN_IF_ERROR(ApplyTable(*section, name + ".", file, options));
      continue;
    }
    const absl::StatusOr<OptionValue> value = ToValue(node);
    const absl::Status set =
        value.ok() ? SetOption(name, *value, options) : value.status();
    if (!set.ok()) {
      return At(file, key.source(), absl::StrCat(name, ": ", set.message()));
    }
  }
  return absl::OkStatus();
}

struct Flags {
  std::string config;
  bool check_config = false;
  std::string root;
  // Name of the option -> what was given.
  std::vector<std::pair<std::string, std::string>> given;
};

void Declare(CLI::App* app, Flags* flags) {
  app->set_version_flag("--version", "warrend " WARREN_VERSION);
  app->add_option("--config", flags->config, "configuration file (TOML)")
      ->type_name("FILE");
  app->add_flag("--check-config", flags->check_config,
                "check flags and file, do nothing");
  app->add_option("--root", flags->root,
                  "directory to put before the default paths")
      ->type_name("DIR");
  const auto forward = [&](const std::string& flag, const std::string& name,
                           const std::string& type, const std::string& what) {
    app->add_option_function<std::string>(
           flag,
           [flags, name](const std::string& value) {
             flags->given.emplace_back(name, value);
           },
           what)
        ->type_name(type);
  };
  forward("--socket", "socket", "PATH", "API socket");
  forward("--state-dir", "state_dir", "DIR", "what survives a reboot");
  forward("--run-dir", "run_dir", "DIR", "what does not");
  forward("--log-level", "log_level", "LEVEL",
          "trace, debug, info, warning or error");
}

// The default paths below another directory, for a second instance.
absl::Status ApplyRoot(const std::string& root, Options* options) {
  for (const auto& [name, value] :
       {std::pair<std::string, std::string>("socket", options->socket),
        {"state_dir", options->state_dir},
        {"run_dir", options->run_dir}}) {
    RETURN_IF_ERROR_IN(SetOption(name, root + value, options), "--root");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ApplyConfig(absl::string_view text, const std::string& file,
                         Options* options) {
  const toml::parse_result parsed =
      toml::parse(std::string_view(text.data(), text.size()), file);
  if (!parsed) {
    const std::string_view what = parsed.error().description();
    return At(file, parsed.error().source(),
              absl::string_view(what.data(), what.size()));
  }
  return ApplyTable(parsed.table(), "", file, options);
}

absl::StatusOr<CommandLine> ParseCommandLine(int argc,
                                             const char* const* argv) {
  Flags flags;
  CLI::App app("warrend: a Kubernetes node agent", "warrend");
  Declare(&app, &flags);
  CommandLine result;
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    result.output = app.help();
    return result;
  } catch (const CLI::CallForVersion& version) {
    result.output = std::string(version.what()) + "\n";
    return result;
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  result.check_config = flags.check_config;
  if (!flags.root.empty()) {
    RETURN_IF_ERROR(ApplyRoot(flags.root, &result.options));
  }
  if (!flags.config.empty()) {
    ASSIGN_OR_RETURN_IN(const std::string text,
                        base::ReadRegularFileAt(AT_FDCWD, flags.config),
                        flags.config);
    RETURN_IF_ERROR(ApplyConfig(text, flags.config, &result.options));
  }
  for (const auto& [name, value] : flags.given) {
    RETURN_IF_ERROR_IN(SetOption(name, value, &result.options), name);
  }
  RETURN_IF_ERROR(CheckOptions(result.options));
  return result;
}

}  // namespace warren::agent
