#include "tests/e2e/kubelet/fixture.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/strip.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include "runtime/base/status.h"
#include "tests/support/host_file.h"

namespace warren::test {
namespace {

constexpr char kMark[] = "# == ";

// The first error of a parse, at its line of the file.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  explicit FirstError(int first_line) : first_line_(first_line) {}
  void AddError(int line, int column, const std::string& message) override {
    if (!text_.empty()) return;
    text_ = absl::StrCat(first_line_ + line, ":", column + 1, ": ", message);
  }
  const std::string& text() const { return text_; }

 private:
  int first_line_;
  std::string text_;
};

struct Section {
  std::string type;    // "RunPodSandboxRequest"
  int first_line = 0;  // of `text` in the file
  std::string text;
};

std::vector<Section> Sections(const std::string& file) {
  std::vector<Section> sections;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(file, '\n')) {
    ++number;
    if (absl::ConsumePrefix(&line, kMark)) {
      sections.push_back({std::string(line), number + 1, ""});
    } else if (!sections.empty()) {
      absl::StrAppend(&sections.back().text, line, "\n");
    }
  }
  return sections;
}

template <typename Request>
absl::StatusOr<Request> Parse(const Section& section) {
  Request request;
  FirstError error(section.first_line);
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (parser.ParseFromString(section.text, &request)) return request;
  return absl::InvalidArgumentError(error.text());
}

absl::Status Add(const Section& section, KubeletFixture* fixture) {
  if (section.type == "RunPodSandboxRequest") {
    ASSIGN_OR_RETURN(auto request, Parse<cri::RunPodSandboxRequest>(section));
    fixture->sandbox = request.config();
  } else if (section.type == "CreateContainerRequest") {
    ASSIGN_OR_RETURN(auto request, Parse<cri::CreateContainerRequest>(section));
    fixture->containers.push_back(request.config());
  } else if (section.type == "ExecSyncRequest") {
    ASSIGN_OR_RETURN(auto request, Parse<cri::ExecSyncRequest>(section));
    fixture->execs.push_back(request);
  } else if (section.type == "UpdatePodSandboxResourcesRequest") {
    ASSIGN_OR_RETURN(fixture->pod_update,
                     Parse<cri::UpdatePodSandboxResourcesRequest>(section));
  } else if (section.type == "UpdateContainerResourcesRequest") {
    ASSIGN_OR_RETURN(fixture->update,
                     Parse<cri::UpdateContainerResourcesRequest>(section));
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat(section.first_line - 1, ": unknown ", section.type));
  }
  return absl::OkStatus();
}

void FitResources(const KubeletNode& node,
                  cri::LinuxContainerResources* resources) {
  if (node.unified) return;
  resources->clear_unified();
  if (HostFileExists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")) {
    resources->set_memory_swap_limit_in_bytes(
        resources->memory_limit_in_bytes());
  }
}

void Fit(const KubeletNode& node, KubeletFixture* fixture) {
  cri::PodSandboxConfig& sandbox = fixture->sandbox;
  sandbox.set_log_directory(node.root + sandbox.log_directory());
  sandbox.mutable_linux()->set_cgroup_parent(node.cgroup_parent +
                                             sandbox.linux().cgroup_parent());
  for (cri::ContainerConfig& container : fixture->containers) {
    for (cri::Mount& mount : *container.mutable_mounts()) {
      mount.set_host_path(node.root + mount.host_path());
    }
    FitResources(node, container.mutable_linux()->mutable_resources());
  }
  FitResources(node, fixture->update.mutable_linux());
}

}  // namespace

absl::StatusOr<KubeletFixture> ReadKubeletFixture(const std::string& name,
                                                  const KubeletNode& node) {
  const std::string path =
      absl::StrCat(WARREN_KUBELET_FIXTURES, "/", name, ".textproto");
  KubeletFixture fixture;
  for (const Section& section : Sections(ReadHostFile(path))) {
    RETURN_IF_ERROR_IN(Add(section, &fixture), path);
  }
  if (fixture.sandbox.metadata().name().empty() || fixture.containers.empty()) {
    return absl::NotFoundError(path + " holds no pod");
  }
  Fit(node, &fixture);
  return fixture;
}

}  // namespace warren::test
