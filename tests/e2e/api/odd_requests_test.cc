// Requests that are too long, meant for nobody, or to be accounted for.
#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/unknown_field_set.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/cri_test.h"

namespace warren::test {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

class OddRequestsTest : public CriTest {
 protected:
  // Calls `use` with the name of each string or bytes field of the message,
  // however deep, while it is filled; the message is as before after each.
  // Entries of a map have the map's name.
  static void WithEachText(Message* message, const std::string& text,
                           const std::function<void(const std::string&)>& use) {
    const auto* descriptor = message->GetDescriptor();
    const auto* reflection = message->GetReflection();
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const FieldDescriptor* field = descriptor->field(i);
      std::string saved;
      message->SerializeToString(&saved);
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
        if (field->is_repeated()) {
          reflection->AddString(message, field, text);
        } else {
          reflection->SetString(message, field, text);
        }
        use(field->name());
      } else if (field->is_map()) {
        WithEachText(reflection->AddMessage(message, field), text,
                     [&](const std::string&) { use(field->name()); });
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        WithEachText(field->is_repeated()
                         ? reflection->AddMessage(message, field)
                         : reflection->MutableMessage(message, field),
                     text, use);
      }
      message->ParseFromString(saved);
    }
  }

  static void ExpectRefused(const absl::Status& status,
                            const std::string& field) {
    EXPECT_CODE(status, kInvalidArgument) << field << ": " << status.message();
    EXPECT_LE(status.message().size(), 1024u) << field;
    EXPECT_FALSE(absl::StrContains(status.message(), std::string(300, 'A')));
    EXPECT_TRUE(absl::StrContains(status.message(), field))
        << field << ": " << status.message();
  }

  // Sends the request once for each of its fields, and expects a refusal that
  // names the field. How many there are.
  template <typename Reply>
  int RefusedByField(Message* request) {
    int fields = 0;
    WithEachText(
        request, std::string(1 << 20, 'A'), [&](const std::string& field) {
          ExpectRefused(client().Call<Reply>(*request).status(), field);
          ++fields;
        });
    return fields;
  }
};

TEST_F(OddRequestsTest, API_6_AMebibyteInAnyFieldIsRefusedShortly) {
  cri::RunPodSandboxRequest run;
  *run.mutable_config() = Pod("pod");
  EXPECT_GT(RefusedByField<cri::RunPodSandboxResponse>(&run), 30);
  cri::CreateContainerRequest create;
  *create.mutable_sandbox_config() = Pod("pod");
  const std::string pod_id = RunPod(create.sandbox_config());
  create.set_pod_sandbox_id(pod_id);
  *create.mutable_config() = IdleConfig("main");
  const std::string id = Run(pod_id, Pod("pod"), create.config());
  EXPECT_GT(RefusedByField<cri::CreateContainerResponse>(&create), 80);

  cri::UpdateContainerResourcesRequest update;
  update.set_container_id(id);
  EXPECT_GT(RefusedByField<cri::UpdateContainerResourcesResponse>(&update), 6);
  cri::UpdatePodSandboxResourcesRequest overhead;
  overhead.set_pod_sandbox_id(pod_id);
  EXPECT_GT(RefusedByField<cri::UpdatePodSandboxResourcesResponse>(&overhead),
            6);
  cri::ExecSyncRequest exec;
  exec.set_container_id(id);
  EXPECT_EQ(RefusedByField<cri::ExecSyncResponse>(&exec), 2);
  cri::UpdateRuntimeConfigRequest node;
  EXPECT_EQ(RefusedByField<cri::UpdateRuntimeConfigResponse>(&node), 1);
  cri::RemoveImageRequest image;
  EXPECT_GT(RefusedByField<cri::RemoveImageResponse>(&image), 4);
  // Those that have nothing but an id.
  const auto refused_id = [&](auto request, auto reply) {
    EXPECT_EQ(RefusedByField<decltype(reply)>(&request), 1);
  };
  refused_id(cri::StartContainerRequest(), cri::StartContainerResponse());
  refused_id(cri::StopContainerRequest(), cri::StopContainerResponse());
  refused_id(cri::RemoveContainerRequest(), cri::RemoveContainerResponse());
  refused_id(cri::ReopenContainerLogRequest(),
             cri::ReopenContainerLogResponse());
  refused_id(cri::StopPodSandboxRequest(), cri::StopPodSandboxResponse());
  refused_id(cri::RemovePodSandboxRequest(), cri::RemovePodSandboxResponse());
  ExpectRefused(client().ImportImage(std::string(1 << 20, 'A'), "x").status(),
                "reference");
  // All of it left no trace, and nothing else is refused.
  EXPECT_EQ(StatusOf(id).state(), cri::CONTAINER_RUNNING);
  EXPECT_EQ(client().ListContainers()->size(), 1u);
}

// What a program may be called with is what execve(2) takes.
TEST_F(OddRequestsTest, API_6_ArgumentsMayBeAsLongAsTheKernelAllows) {
  const std::string longest(128 * 1024 - 1, 'A');
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  cri::ContainerConfig config = ShellConfig("main", "echo ${#1} ${#V}");
  config.add_command("sh");
  config.add_command(longest);
  auto* variable = config.add_envs();
  variable->set_key("V");
  variable->set_value(longest.substr(2));
  WaitExited(Run(pod_id, pod, config));
  EXPECT_THAT(
      ReadHostFile(absl::StrCat(pod.log_directory(), "/", config.log_path())),
      testing::HasSubstr("131071 131069\n"));
  const std::string id = Run(pod_id, pod, IdleConfig("idle"));
  EXPECT_EQ(Output(id, {"sh", "-c", "echo ${#1}", "sh", longest}), "131071\n");
  variable->set_value(longest.substr(1));
  config.mutable_metadata()->set_name("more");
  ExpectRefused(client().CreateContainer(pod_id, config, pod).status(),
                "config.envs[0].value");
  ExpectRefused(client().ExecSync(id, {"true", longest + "A"}).status(),
                "cmd[1]");
}

// From a newer orchestrator, or from nobody's: taken, and not kept.
TEST_F(OddRequestsTest, API_6_FieldsThatNobodyKnowsAreNotKept) {
  const std::string text(4 << 20, 'A');
  cri::PodSandboxConfig pod = Pod("pod");
  pod.GetReflection()->MutableUnknownFields(&pod)->AddLengthDelimited(900,
                                                                      text);
  cri::ContainerConfig config = IdleConfig("main");
  config.GetReflection()->MutableUnknownFields(&config)->AddLengthDelimited(
      900, text);
  Run(RunPod(pod), pod, config);
  const std::string big = RunCommand({"find", daemon().state_dir(), "-name",
                                      "*record*", "-size", "+1M"})
                              .out;
  EXPECT_EQ(big, "");
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
  const std::string path = daemon().directory() + "/warrend.log";
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
    for (const char* part : {" id=", " code=", " ms=", " caller=uid:0"}) {
      EXPECT_TRUE(absl::StrContains(line, part)) << line;
    }
    if (absl::StrContains(line, "canary-of-the-command")) ++commands;
  }
  EXPECT_EQ(logged, made);
  EXPECT_EQ(commands, 5);
  EXPECT_FALSE(absl::StrContains(log, "canary-of-the-environment"));
  // Which process that is, has been said when it connected.
  EXPECT_TRUE(absl::StrContains(
      ReadHostFile(path),
      absl::StrCat("connection uid=0 gid=0 pid=", getpid(), "\n")));
}

}  // namespace
}  // namespace warren::test
