#include "agent/api/request_bounds.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <string>

#include "agent/cri/cri.h"

namespace warren::agent {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string Error(const Message& request) {
  const absl::Status status = CheckBounds(request);
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status));
  return std::string(status.message());
}

TEST(RequestBounds, API_6_EachLimitIsExact) {
  const std::string name(kMaxStringBytes, 'a');
  const std::string argument(kMaxArgumentBytes, 'a');
  cri::CreateContainerRequest create;
  EXPECT_EQ(Error(create), "");
  cri::ContainerConfig* config = create.mutable_config();
  config->add_mounts()->set_host_path("/short");
  cri::Mount* mount = config->add_mounts();
  mount->set_host_path(name);
  EXPECT_EQ(Error(create), "");
  mount->set_host_path(name + "a");
  EXPECT_EQ(Error(create),
            "config.mounts[1].host_path: is longer than 4095 bytes");
  mount->clear_host_path();
  for (auto* list : {config->mutable_command(), config->mutable_args()}) {
    *list->Add() = argument;
    EXPECT_EQ(Error(create), "");
  }
  config->add_args(argument + "a");
  EXPECT_EQ(Error(create), "config.args[1]: is longer than 131071 bytes");
  config->mutable_args()->RemoveLast();
  cri::KeyValue* variable = config->add_envs();
  variable->set_key("KEY");
  variable->set_value(argument.substr(4));
  EXPECT_EQ(Error(create), "");
  variable->set_value(argument.substr(3));
  EXPECT_EQ(Error(create), "config.envs[0].value: is longer than 131071 bytes");
  variable->set_value("");
  variable->set_key(name + "a");
  EXPECT_EQ(Error(create), "config.envs[0].key: is longer than 4095 bytes");
  variable->set_key("KEY");
  (*config->mutable_annotations())["a"] = std::string(kMaxMapBytes - 3, 'x');
  (*config->mutable_annotations())["b"] = "1";
  EXPECT_EQ(Error(create), "");
  (*config->mutable_annotations())["b"] = "12";
  EXPECT_EQ(Error(create),
            "config.annotations: has more than 262144 bytes of keys and "
            "values");
  cri::ExecSyncRequest exec;
  exec.add_cmd(argument);
  EXPECT_EQ(Error(exec), "");
  exec.add_cmd(argument + "a");
  EXPECT_EQ(Error(exec), "cmd[1]: is longer than 131071 bytes");
}

// Each field of each message that a call of ours takes, and those below.
int CheckEach(Message* root, Message* message, const std::string& text) {
  int count = 0;
  const auto* type = message->GetDescriptor();
  const auto* reflection = message->GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      if (field->is_repeated()) {
        reflection->AddString(message, field, text);
      } else {
        reflection->SetString(message, field, text);
      }
      EXPECT_NE(Error(*root), "") << field->full_name();
      ++count;
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      count += CheckEach(root,
                         field->is_repeated()
                             ? reflection->AddMessage(message, field)
                             : reflection->MutableMessage(message, field),
                         text);
    }
    reflection->ClearField(message, field);
  }
  return count;
}

TEST(RequestBounds, API_6_NoFieldIsLeftOut) {
  const std::string text(1 << 20, 'a');
  cri::RunPodSandboxRequest run;
  EXPECT_GT(CheckEach(&run, &run, text), 30);
  cri::CreateContainerRequest create;
  EXPECT_GT(CheckEach(&create, &create, text), 80);
  cri::UpdateContainerResourcesRequest update;
  EXPECT_GT(CheckEach(&update, &update, text), 6);
}

}  // namespace
}  // namespace warren::agent
