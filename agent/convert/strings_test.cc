// STR-1 by reflection: every string of a pod's and of a container's
// configuration gets bytes that would break a line, a path or a reply. It is
// refused by the name of its field, or it is one of those that are only kept
// or only reach the program, byte for byte. New fields come along by
// themselves.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "agent/cdi/name.h"
#include "agent/convert/convert.h"

namespace warren::agent {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// Kept and shown, or handed to the program, as they are. (How long they may
// be is said for all requests: request_bounds.h.)
const std::set<std::string>& Literal() {
  static const auto* fields =
      new std::set<std::string>{"labels.key",
                                "labels.value",
                                "annotations.key",
                                "annotations.value",
                                "image.image",
                                "image.user_specified_image",
                                "image.image_ref",
                                "image.annotations.key",
                                "image.annotations.value",
                                "command",
                                "args",
                                "envs.value"};
  return *fields;
}

// Without effect on Linux, or while something else is set.
bool Skipped(const std::string& path) { return path.rfind("windows", 0) == 0; }

// Calls `visit` with the path of each string field below `message`, set to
// `bytes` (and everything on the way made), then takes it back.
void ForEachString(Message* root, Message* message, const std::string& prefix,
                   const std::string& bytes,
                   const std::function<void(const std::string&)>& visit) {
  const auto* type = message->GetDescriptor();
  const auto* reflection = message->GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    const std::string path = prefix + field->name();
    if (Skipped(path)) continue;
    const std::unique_ptr<Message> before(message->New());
    before->CopyFrom(*message);
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      if (field->is_repeated()) {
        reflection->AddString(message, field, bytes);
      } else {
        reflection->SetString(message, field, bytes);
      }
      visit(path);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      Message* inner = field->is_repeated()
                           ? reflection->AddMessage(message, field)
                           : reflection->MutableMessage(message, field);
      ForEachString(root, inner, path + ".", bytes, visit);
    }
    message->CopyFrom(*before);
  }
}

const std::vector<std::string>& BadBytes() {
  static const auto* all = new std::vector<std::string>{
      std::string("a\0b", 3),          "a\nb", "a\rb", "a\n", "\n",
      std::string(1 << 20, 'a') + "\n"};
  return *all;
}

cri::PodSandboxConfig GoodPod() {
  cri::PodSandboxConfig pod;
  pod.mutable_metadata()->set_name("p");
  pod.mutable_metadata()->set_namespace_("n");
  pod.mutable_metadata()->set_uid("u");
  return pod;
}

void ExpectRefused(const absl::Status& status, const std::string& path) {
  EXPECT_FALSE(status.ok()) << path;
  // A host that lacks the thing altogether may be said first.
  EXPECT_TRUE(absl::IsInvalidArgument(status) ||
              absl::IsUnimplemented(status) ||
              absl::IsFailedPrecondition(status))
      << path << ": " << status;
  EXPECT_LE(status.message().size(), 1024u) << path;  // API-6
  EXPECT_THAT(std::string(status.message()),
              testing::Not(testing::ContainsRegex("[\r\n]")))
      << path;
}

TEST(ConvertStrings, STR_1_EveryStringOfAPod) {
  int refused = 0;
  for (const std::string& bytes : BadBytes()) {
    cri::PodSandboxConfig pod = GoodPod();
    ForEachString(&pod, &pod, "", bytes, [&](const std::string& path) {
      const auto spec = ConvertSandbox(std::string(64, 'a'), pod, HostFacts());
      if (Literal().count(path) != 0) {
        EXPECT_TRUE(spec.ok()) << path << ": " << spec.status();
        return;
      }
      // Resources of the pod are kept and shown only.
      if (path.rfind("linux.resources.", 0) == 0 ||
          path.rfind("linux.overhead.", 0) == 0) {
        return;
      }
      ++refused;
      ExpectRefused(spec.status(), path);
    });
  }
  EXPECT_GT(refused, 15 * 6);
}

TEST(ConvertStrings, STR_1_EveryStringOfAContainer) {
  int refused = 0;
  const cri::PodSandboxConfig pod = GoodPod();
  const runtime::SandboxSpec sandbox;
  image::Image image;
  image.config.entrypoint = {"/bin/app"};
  for (const std::string& bytes : BadBytes()) {
    cri::ContainerConfig config;
    config.mutable_metadata()->set_name("c");
    ForEachString(&config, &config, "", bytes, [&](const std::string& path) {
      const auto spec =
          ConvertContainer({std::string(64, 'c'), config, pod, sandbox, image});
      const bool nul = bytes.find('\0') != std::string::npos;
      const bool program = path == "command" || path == "args";
      if (path == "CDI_devices.name") {  // resolved before the conversion
        ExpectRefused(CdiNames(config).status(), path);
        return;
      }
      if (Literal().count(path) != 0 && !(nul && program)) {
        if (path == "envs.value") return;  // its key is missing here
        EXPECT_TRUE(spec.ok()) << path << ": " << spec.status();
        return;
      }
      ++refused;
      ExpectRefused(spec.status(), path);
    });
  }
  EXPECT_GT(refused, 20 * 6);
}

}  // namespace
}  // namespace warren::agent
