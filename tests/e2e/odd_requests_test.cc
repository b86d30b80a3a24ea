// Requests that are too long, meant for nobody, or to be accounted for.
#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <google/protobuf/descriptor.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

class OddRequestsTest : public CriTest {
 protected:
  // Calls `use` with each string or bytes field of the message, however deep,
  // filled in turn; the message is as before after each.
  template <typename Use>
  static void WithEachText(Message* root, Message* message,
                           const std::string& text, const std::string& path,
                           const Use& use) {
    const auto* descriptor = message->GetDescriptor();
    const auto* reflection = message->GetReflection();
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const FieldDescriptor* field = descriptor->field(i);
      const std::string name = absl::StrCat(path, ".", field->name());
      std::string saved;
      message->SerializeToString(&saved);
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
        if (field->is_repeated()) {
          reflection->AddString(message, field, text);
        } else {
          reflection->SetString(message, field, text);
        }
        use(name);
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        Message* inner = field->is_repeated()
                             ? reflection->AddMessage(message, field)
                             : reflection->MutableMessage(message, field);
        WithEachText(root, inner, text, name, use);
      }
      message->ParseFromString(saved);
    }
  }

  static void CheckAnswer(const absl::Status& status, const std::string& what) {
    EXPECT_LE(status.message().size(), 1024u) << what;
    EXPECT_FALSE(absl::StrContains(status.message(), std::string(300, 'A')))
        << what;
    // What comes back with every list.
    if (absl::StrContains(what, "labels") ||
        absl::StrContains(what, "config.annotations")) {
      EXPECT_TRUE(absl::IsInvalidArgument(status)) << what;
    }
    EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status) ||
                absl::IsNotFound(status) ||
                absl::IsFailedPrecondition(status) ||
                absl::IsUnimplemented(status))
        << what << ": " << status;
  }
};

TEST_F(OddRequestsTest, API_6_AMebibyteInAnyFieldIsAnsweredShortly) {
  const std::string text(1 << 20, 'A');
  cri::RunPodSandboxRequest run;
  *run.mutable_config() = Pod("pod");
  int fields = 0;
  WithEachText(&run, &run, text, "RunPodSandbox", [&](const std::string& name) {
    const auto reply = client().Call<cri::RunPodSandboxResponse>(run);
    CheckAnswer(reply.status(), name);
    if (reply.ok()) RemoveAllPods();
    ++fields;
  });
  cri::CreateContainerRequest create;
  *create.mutable_sandbox_config() = Pod("pod");
  create.set_pod_sandbox_id(RunPod(create.sandbox_config()));
  *create.mutable_config() = IdleConfig("main");
  WithEachText(&create, create.mutable_config(), text, "CreateContainer",
               [&](const std::string& name) {
                 const auto reply =
                     client().Call<cri::CreateContainerResponse>(create);
                 CheckAnswer(reply.status(), name);
                 if (!reply.ok()) return;
                 client().RemoveContainer(reply->container_id()).IgnoreError();
               });
  EXPECT_GT(fields, 30);
  for (const absl::Status& status :
       {client().StartContainer(text), client().StopPodSandbox(text),
        client().RemoveContainer(text), client().ContainerStatus(text).status(),
        client().ExecSync(text, {"true"}).status(),
        client().ExecSync("a", {text}).status()}) {
    CheckAnswer(status, "id");
  }
}

TEST_F(OddRequestsTest, API_7_OddIdsChangeNothing) {
  std::vector<std::string> ids;
  for (const char* name : {"a", "b", "c"}) {
    cri::PodSandboxConfig pod = Pod(name);
    ids.push_back(RunPod(pod));
    ids.push_back(Run(ids.back(), pod, IdleConfig("main")));
  }
  const auto picture = [&] {
    std::string all;
    for (const std::string& id : ids) {
      const auto pod = client().PodSandboxStatus(id);
      const auto container = client().ContainerStatus(id);
      absl::StrAppend(&all, pod.ok() ? pod->status().ShortDebugString() : "-",
                      container.ok() ? container->ShortDebugString() : "-",
                      "\n");
    }
    return all;
  };
  const std::string before = picture();
  std::mt19937 random(7);
  const std::string odd = "g /%.\\-_:*?[]~$" + std::string("\n\t\1\x7f", 4);
  for (int i = 0; i < 300; ++i) {
    std::string id = ids[random() % ids.size()];
    const size_t at = random() % id.size();
    switch (random() % 5) {
      case 0:  // another digit
        id[at] = id[at] == 'f' ? '0' : 'f';
        break;
      case 1:
        id[at] = odd[random() % odd.size()];
        break;
      case 2:
        id.insert(at, 1, odd[random() % odd.size()]);
        break;
      case 3:
        id += odd[random() % odd.size()];
        break;
      default:
        id = absl::StrCat("../", id.substr(0, at));
    }
    const bool known = std::any_of(
        ids.begin(), ids.end(),
        [&](const std::string& other) { return absl::StartsWith(other, id); });
    if (known) continue;
    for (const absl::Status& status :
         {client().StopPodSandbox(id), client().RemovePodSandbox(id),
          client().StopContainer(id, 0), client().RemoveContainer(id)}) {
      EXPECT_TRUE(status.ok() || absl::IsNotFound(status) ||
                  absl::IsInvalidArgument(status))
          << status;
    }
    for (const absl::Status& status :
         {client().StartContainer(id), client().ExecSync(id, {"true"}).status(),
          client().ContainerStatus(id).status(),
          client().PodSandboxStatus(id).status()}) {
      EXPECT_TRUE(absl::IsNotFound(status) || absl::IsInvalidArgument(status))
          << status;
    }
  }
  EXPECT_CODE(client().StartContainer(""), kInvalidArgument);
  for (const char* id : {" ", "*", "/", "."}) {
    EXPECT_CODE(client().StartContainer(id), kNotFound);
  }
  EXPECT_EQ(picture(), before);
}

// Each call that changes something has one line: who, what, on what, how it
// went. Command lines are in it, environments are not.
TEST_F(OddRequestsTest, API_9_EveryMutatingCallHasOneLine) {
  const std::string path = daemon().folder() + "/warrend.log";
  const size_t start = ReadHostFile(path).size();
  std::map<std::string, int> made;
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  ++made["RunPodSandbox"];
  cri::ContainerConfig config = IdleConfig("main");
  auto* env = config.add_envs();
  env->set_key("PASSWORD");
  env->set_value("canary-of-the-environment");
  const std::string id = Run(pod_id, pod, config);
  ++made["CreateContainer"];
  ++made["StartContainer"];
  EXPECT_FALSE(client().StartContainer(id).ok());
  ++made["StartContainer"];
  for (int i = 0; i < 5; ++i) {
    Output(id, {"echo", "canary-of-the-command"});
    ++made["ExecSync"];
  }
  cri::ReopenContainerLogRequest reopen;
  reopen.set_container_id(id);
  EXPECT_TRUE(client().Call<cri::ReopenContainerLogResponse>(reopen).ok());
  ++made["ReopenContainerLog"];
  EXPECT_FALSE(client().CreateContainer("nothing", config, pod).ok());
  ++made["CreateContainer"];
  EXPECT_TRUE(client().StopContainer(id, 0).ok());
  ++made["StopContainer"];
  EXPECT_TRUE(client().RemoveContainer(id).ok());
  ++made["RemoveContainer"];
  EXPECT_TRUE(client().StopPodSandbox(pod_id).ok());
  ++made["StopPodSandbox"];
  EXPECT_TRUE(client().RemovePodSandbox(pod_id).ok());
  ++made["RemovePodSandbox"];
  EXPECT_FALSE(client().ImportImage("BAD REFERENCE", "no archive").ok());
  ++made["ImportImage"];

  std::map<std::string, int> logged;
  int commands = 0;
  const std::string log = ReadHostFile(path).substr(start);
  for (const auto& line : absl::StrSplit(log, '\n')) {
    const size_t at = line.find("rpc=");
    if (at == std::string_view::npos) continue;
    const std::string name(line.substr(at + 4, line.find(' ', at) - at - 4));
    if (absl::StartsWith(name, "List") || absl::StrContains(name, "Status")) {
      continue;
    }
    ++logged[name];
    for (const char* part : {" id=", " code=", " ms=", " peer="}) {
      EXPECT_TRUE(absl::StrContains(line, part)) << line;
    }
    if (absl::StrContains(line, "canary-of-the-command")) ++commands;
  }
  EXPECT_EQ(logged, made);
  EXPECT_EQ(commands, 5);
  EXPECT_FALSE(absl::StrContains(log, "canary-of-the-environment"));
}

}  // namespace
}  // namespace warren::test
