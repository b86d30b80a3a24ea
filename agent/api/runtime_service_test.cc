// The three services over a real socket, on a node whose kernel is fake.
#include "agent/api/runtime_service.h"

#include <absl/strings/str_cat.h>
#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <deque>
#include <memory>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "agent/api/image_service.h"
#include "agent/api/node_service.h"
#include "agent/api/rpc.h"
#include "agent/node/node.h"
#include "agent/transport/server.h"
#include "tests/fakes/core_node.h"
#include "tests/fakes/fake_image_puller.h"

namespace warren::agent {
namespace {

namespace api = ::warren::node::v1;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Imported {
  std::string reference, bytes;
  bool committed = false;
};

// Notes what imports were fed.
class ImportingStore : public test::FakeImageStore {
 public:
  ImportingStore(test::Faults* faults, std::deque<Imported>* imports)
      : FakeImageStore(faults), imports_(imports) {}

  absl::StatusOr<std::unique_ptr<image::ImportSession>> BeginImport(
      const std::string& reference, bool) override {
    imports_->push_back({reference, "", false});
    return std::make_unique<Session>(&imports_->back());
  }

 private:
  class Session : public image::ImportSession {
   public:
    explicit Session(Imported* import) : import_(import) {}
    absl::Status Write(absl::string_view chunk) override {
      import_->bytes.append(chunk.data(), chunk.size());
      return absl::OkStatus();
    }
    absl::StatusOr<std::shared_ptr<const image::Image>> Commit() override {
      import_->committed = true;
      return std::make_shared<const image::Image>(test::TestImage());
    }

   private:
    Imported* import_;
  };

  std::deque<Imported>* imports_;
};

class RangedNetwork : public test::FakePodNetwork {
 public:
  using FakePodNetwork::FakePodNetwork;
  absl::Status SetPodRanges(const std::vector<netplugin::IpPrefix>& ranges,
                            const base::Deadline&) override {
    ranges_.clear();
    for (const auto& range : ranges) ranges_.push_back(range.ToString());
    return absl::OkStatus();
  }
  std::vector<std::string> ranges_;
};

class ServicesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.state_dir = directory_.path();
    options_.socket = directory_.path() + "/run/w.sock";
    Start();
  }
  void TearDown() override { Stop(); }

  void Start() {
    auto images = std::make_unique<ImportingStore>(&faults_, &imports_);
    auto network = std::make_unique<RangedNetwork>(&faults_);
    images->Add(test::TestImage());
    network_ = network.get();
    NodeParts parts;
    parts.images = std::move(images);
    parts.puller = std::make_unique<test::FakeImagePuller>();
    parts.network = std::move(network);
    parts.runtime = std::make_unique<test::FakeRuntime>(&faults_);
    auto node =
        Node::Start(options_, std::move(parts), [](absl::string_view) {});
    ASSERT_TRUE(node.ok()) << node.status();
    node_ = *std::move(node);
    auto pool = CallPool::Start();
    ASSERT_TRUE(pool.ok()) << pool.status();
    pool_ = *std::move(pool);
    runtime_service_ =
        std::make_unique<RuntimeService>(node_.get(), pool_.get());
    image_service_ =
        std::make_unique<ImageService>(&node_->images(), pool_.get());
    node_service_ = std::make_unique<NodeService>(node_.get());
    auto server = Server::Start(
        {{.socket = options_.socket}},
        {runtime_service_.get(), image_service_.get(), node_service_.get()});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto channel = grpc::CreateCustomChannel(
        "unix:" + options_.socket, grpc::InsecureChannelCredentials(),
        arguments);
    pods_ = cri::RuntimeService::NewStub(channel);
    pictures_ = cri::ImageService::NewStub(channel);
    extra_ = api::NodeService::NewStub(channel);
  }
  void Stop() {
    server_.reset();
    pool_.reset();
    node_.reset();
  }

  // A unary call by the stub's member.
  template <class Stub, class Request, class Reply>
  static grpc::Status Call(const std::unique_ptr<Stub>& stub,
                           grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                        const Request&, Reply*),
                           const std::type_identity_t<Request>& request,
                           std::type_identity_t<Reply>* reply) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(30)));
    return (stub.get()->*method)(&context, request, reply);
  }

  using Runtime = cri::RuntimeService::Stub;

  test::StateDirectory directory_;
  Options options_;
  test::Faults faults_;
  std::deque<Imported> imports_;
  RangedNetwork* network_ = nullptr;
  std::unique_ptr<Node> node_;
  std::unique_ptr<CallPool> pool_;
  std::unique_ptr<RuntimeService> runtime_service_;
  std::unique_ptr<ImageService> image_service_;
  std::unique_ptr<NodeService> node_service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Runtime> pods_;
  std::unique_ptr<cri::ImageService::Stub> pictures_;
  std::unique_ptr<api::NodeService::Stub> extra_;
};

TEST_F(ServicesTest, PodAndContainerThroughTheirLives) {
  cri::RunPodSandboxResponse pod;
  const cri::RunPodSandboxRequest wanted = test::PodRequest("web");
  ASSERT_TRUE(Call(pods_, &Runtime::RunPodSandbox, wanted, &pod).ok());
  EXPECT_EQ(pod.pod_sandbox_id().size(), 64u);

  cri::CreateContainerResponse container;
  ASSERT_TRUE(
      Call(pods_, &Runtime::CreateContainer,
           test::ContainerRequest(pod.pod_sandbox_id(), wanted.config(), "c"),
           &container)
          .ok());
  cri::StartContainerRequest start;
  start.set_container_id(container.container_id().substr(0, 12));
  cri::StartContainerResponse started;
  ASSERT_TRUE(Call(pods_, &Runtime::StartContainer, start, &started).ok());

  cri::ContainerStatusRequest look;
  look.set_container_id(container.container_id());
  look.set_verbose(true);
  cri::ContainerStatusResponse status;
  ASSERT_TRUE(Call(pods_, &Runtime::ContainerStatus, look, &status).ok());
  EXPECT_EQ(status.status().state(), cri::CONTAINER_RUNNING);
  EXPECT_FALSE(status.info().empty());

  cri::RemovePodSandboxRequest remove;
  remove.set_pod_sandbox_id(pod.pod_sandbox_id());
  cri::RemovePodSandboxResponse removed;
  ASSERT_TRUE(Call(pods_, &Runtime::RemovePodSandbox, remove, &removed).ok());
  EXPECT_EQ(Call(pods_, &Runtime::ContainerStatus, look, &status).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServicesTest, StreamsSendEachItemOnceInBoundedMessages) {
  constexpr int kPods = kMaxItemsPerMessage + 1;
  for (int i = 0; i < kPods; ++i) {
    cri::RunPodSandboxResponse pod;
    ASSERT_TRUE(Call(pods_, &Runtime::RunPodSandbox,
                     test::PodRequest(absl::StrCat("pod-", i)), &pod)
                    .ok());
  }
  grpc::ClientContext context;
  const auto stream =
      pods_->StreamPodSandboxes(&context, cri::StreamPodSandboxesRequest());
  std::vector<int> sizes;
  std::set<std::string> ids;
  cri::StreamPodSandboxesResponse message;
  while (stream->Read(&message)) {
    sizes.push_back(message.pod_sandboxes_size());
    for (const cri::PodSandbox& pod : message.pod_sandboxes()) {
      EXPECT_TRUE(ids.insert(pod.id()).second);
    }
  }
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_THAT(sizes, ElementsAre(kMaxItemsPerMessage, 1));
  EXPECT_EQ(ids.size(), static_cast<size_t>(kPods));

  grpc::ClientContext none_context;
  const auto none =
      pods_->StreamContainers(&none_context, cri::StreamContainersRequest());
  cri::StreamContainersResponse nothing;
  EXPECT_FALSE(none->Read(&nothing));
  EXPECT_TRUE(none->Finish().ok());
}

TEST_F(ServicesTest, WhatIsNotBuiltSaysSo) {
  cri::ExecResponse exec;
  grpc::Status status = Call(pods_, &Runtime::Exec, {}, &exec);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(status.error_message(), HasSubstr("ExecSync"));
  grpc::ClientContext context;
  const auto events =
      pods_->GetContainerEvents(&context, cri::GetEventsRequest());
  cri::ContainerEventResponse event;
  EXPECT_FALSE(events->Read(&event));
  EXPECT_EQ(events->Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(ServicesTest, PodRangesOutliveTheDaemon) {
  EXPECT_THAT(network_->ranges_, IsEmpty());
  cri::UpdateRuntimeConfigRequest request;
  cri::UpdateRuntimeConfigResponse reply;
  const auto update = [&](const std::string& cidr) {
    request.mutable_runtime_config()->mutable_network_config()->set_pod_cidr(
        cidr);
    return Call(pods_, &Runtime::UpdateRuntimeConfig, request, &reply)
        .error_code();
  };
  EXPECT_EQ(update(""), grpc::StatusCode::OK);
  EXPECT_EQ(update("10.9.0.0/16,fd00:9::/64"), grpc::StatusCode::OK);
  EXPECT_EQ(update("elephant"), grpc::StatusCode::INVALID_ARGUMENT);
  Stop();
  Start();
  EXPECT_THAT(network_->ranges_, ElementsAre("10.9.0.0/16", "fd00:9::/64"));
}

TEST_F(ServicesTest, PodRangesThatCannotBeKeptAreNotInForce) {
  const auto update = [&](const std::string& cidr) {
    cri::UpdateRuntimeConfigRequest request;
    cri::UpdateRuntimeConfigResponse reply;
    request.mutable_runtime_config()->mutable_network_config()->set_pod_cidr(
        cidr);
    return Call(pods_, &Runtime::UpdateRuntimeConfig, request, &reply).ok();
  };
  ASSERT_TRUE(update("10.9.0.0/16"));
  // No file goes in the place of a directory.
  const std::string file = directory_.path() + "/pod_ranges";
  ASSERT_EQ(unlink(file.c_str()), 0);
  ASSERT_EQ(mkdir(file.c_str(), 0700), 0);
  EXPECT_FALSE(update("10.10.0.0/16"));
  EXPECT_THAT(network_->ranges_, ElementsAre("10.9.0.0/16"));
  ASSERT_EQ(rmdir(file.c_str()), 0);
  EXPECT_TRUE(update("10.10.0.0/16"));
  EXPECT_THAT(network_->ranges_, ElementsAre("10.10.0.0/16"));
}

class ImportTest : public ServicesTest {
 protected:
  // Sends `chunks` as {reference, data} and returns the server's word.
  grpc::Status Import(
      const std::vector<std::pair<std::string, std::string>>& chunks) {
    grpc::ClientContext context;
    const auto stream = extra_->ImportImage(&context, &reply_);
    for (const auto& [reference, data] : chunks) {
      api::ImportImageRequest request;
      request.set_reference(reference);
      request.set_data(data);
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
    return stream->Finish();
  }

  api::ImportImageResponse reply_;
};

TEST_F(ImportTest, ChunksBecomeOneArchive) {
  ASSERT_TRUE(Import({{"app:1", "abc"}, {"", "def"}}).ok());
  ASSERT_EQ(imports_.size(), 1u);
  EXPECT_EQ(imports_[0].reference, "app:1");
  EXPECT_EQ(imports_[0].bytes, "abcdef");
  EXPECT_TRUE(imports_[0].committed);
  EXPECT_EQ(reply_.image_id(), test::TestImage().id);
}

TEST_F(ImportTest, BadStreamsAreRefusedAndNotCommitted) {
  const std::string too_much(1024 * 1024 + 1, 'x');
  const std::vector<std::vector<std::pair<std::string, std::string>>> bad = {
      {},
      {{"", "abc"}},
      {{"a:1", "abc"}, {"b:1", "def"}},
      {{"a:1", too_much}},
  };
  for (const auto& chunks : bad) {
    EXPECT_EQ(Import(chunks).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
  for (const auto& import : imports_) EXPECT_FALSE(import.committed);
}

TEST_F(ImportTest, ACancelledStreamIsNotCommitted) {
  grpc::ClientContext context;
  const auto stream = extra_->ImportImage(&context, &reply_);
  api::ImportImageRequest request;
  request.set_reference("a:1");
  ASSERT_TRUE(stream->Write(request));
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  Stop();
  for (const auto& import : imports_) EXPECT_FALSE(import.committed);
}

}  // namespace
}  // namespace warren::agent
