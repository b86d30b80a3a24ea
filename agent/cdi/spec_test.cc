#include "agent/cdi/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "agent/cdi/document.h"
#include "agent/cdi/name.h"

namespace warren::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

absl::StatusOr<CdiSpec> ParseText(const std::string& text,
                                  CdiFormat format = CdiFormat::kJson) {
  const auto document = ParseCdiDocument(text, format);
  if (!document.ok()) return document.status();
  return ParseCdiSpec(*document);
}

// A specification whose one device has these edits.
absl::StatusOr<CdiSpec> WithEdits(const std::string& edits) {
  return ParseText(R"({"cdiVersion": "0.6.0", "kind": "v.test/c", "devices": [
      {"name": "d", "containerEdits": )" +
                   edits + "}]}");
}

std::string Error(const absl::StatusOr<CdiSpec>& spec) {
  return std::string(spec.status().message());
}

TEST(CdiNames, Grammar) {
  for (const char* good : {"v/c=d", "vendor.test/a_b-c.d=0", "V1/c9=gpu:0.1"}) {
    cri::ContainerConfig config;
    config.add_cdi_devices()->set_name(good);
    const auto names = CdiNames(config);
    ASSERT_TRUE(names.ok()) << names.status();
    EXPECT_EQ((*names)[0].text(), good);
  }
  for (const char* bad :
       {"", "v/c", "v/c=", "=d", "v=d", "/c=d", "v/=d", "1v/c=d", "v/1c=d",
        "v./c=d", "v/c-=d", "v/c=d/", "v/c=-d", "v/c=d=e", "v/c/x=d", "v /c=d",
        "v/c=d,v/c=e", "v/c=d\n", "../c=d"}) {
    cri::ContainerConfig config;
    config.add_cdi_devices()->set_name("v/c=ok");
    config.add_cdi_devices()->set_name(bad);
    const auto names = CdiNames(config);
    EXPECT_EQ(names.status().code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(names.status().message()),
                HasSubstr("config.CDI_devices[1].name: "));
  }
}

TEST(CdiNames, AnnotationsAreMergedOnce) {
  cri::ContainerConfig config;
  config.add_cdi_devices()->set_name("v/c=a");
  config.add_cdi_devices()->set_name("v/c=a");
  auto& annotations = *config.mutable_annotations();
  annotations["cdi.k8s.io/plugin"] = "v/c=b,v/c=a,w/c=b";
  annotations["cdi.k8s.io/other"] = "v/c=b";
  annotations["io.kubernetes.x"] = "no name";
  const auto names = CdiNames(config);
  ASSERT_TRUE(names.ok()) << names.status();
  std::vector<std::string> texts;
  for (const CdiName& name : *names) texts.push_back(name.text());
  EXPECT_THAT(texts, ElementsAre("v/c=a", "v/c=b", "w/c=b"));
  annotations["cdi.k8s.io/plugin"] = "v/c=b,";
  EXPECT_THAT(std::string(CdiNames(config).status().message()),
              HasSubstr("config.annotations[\"cdi.k8s.io/plugin\"]: "));
}

TEST(CdiSpec, EveryEditInBothFormats) {
  const char* json = R"({
    "cdiVersion": "1.0.0", "kind": "vendor.test/class",
    "annotations": {"a": "b"},
    "containerEdits": {"env": ["ALL=1"], "additionalGids": [5]},
    "devices": [{"name": "dev0", "containerEdits": {
      "env": ["A=b=c"], "hooks": [],
      "deviceNodes": [
        {"path": "/dev/x"},
        {"path": "/dev/y", "hostPath": "/dev/z", "type": "b", "major": 7,
         "minor": 3, "fileMode": 432, "permissions": "rw", "uid": 1, "gid": 2}],
      "mounts": [{"hostPath": "/h", "containerPath": "/c", "type": "bind",
        "options": ["ro", "nosuid", "nodev", "noexec", "rbind", "rslave"]}]
    }}]})";
  const char* yaml = R"(
cdiVersion: "1.0.0"
kind: vendor.test/class
annotations: {a: b}
containerEdits:
  env: [ALL=1]
  additionalGids: [5]
devices:
- name: dev0
  containerEdits:
    env: ["A=b=c"]
    hooks: []
    deviceNodes:
    - path: /dev/x
    - {path: /dev/y, hostPath: /dev/z, type: b, major: 7, minor: 0x3,
       fileMode: 0660, permissions: rw, uid: 1, gid: 2}
    mounts:
    - hostPath: /h
      containerPath: /c
      type: bind
      options: [ro, nosuid, nodev, noexec, rbind, rslave]
)";
  for (const auto& spec :
       {ParseText(json), ParseText(yaml, CdiFormat::kYaml)}) {
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(spec->kind, "vendor.test/class");
    EXPECT_THAT(spec->edits.env, ElementsAre("ALL=1"));
    EXPECT_THAT(spec->edits.groups, ElementsAre(5));
    ASSERT_THAT(spec->devices, SizeIs(1));
    const CdiEdits& edits = spec->devices.at("dev0");
    EXPECT_EQ(edits.unsupported, "");
    EXPECT_THAT(edits.env, ElementsAre("A=b=c"));
    runtime::DeviceRequest x;
    x.field = "deviceNodes[0]";
    x.host_path = x.container_path = "/dev/x";
    runtime::DeviceRequest y;
    y.field = "deviceNodes[1]";
    y.host_path = "/dev/z";
    y.container_path = "/dev/y";
    y.access = runtime::kDeviceRead | runtime::kDeviceWrite;
    y.type = S_IFBLK;
    y.number = {S_IFBLK, 7, 3};
    y.mode = 0660;
    y.uid = 1;
    y.gid = 2;
    EXPECT_THAT(edits.devices, ElementsAre(x, y));
    ASSERT_THAT(edits.mounts, SizeIs(1));
    const runtime::MountSpec& mount = edits.mounts[0];
    EXPECT_EQ(mount.host_path, "/h");
    EXPECT_EQ(mount.container_path, "/c");
    EXPECT_TRUE(mount.readonly && mount.nosuid && mount.nodev && mount.noexec &&
                mount.recursive);
    EXPECT_EQ(mount.propagation, runtime::MountPropagation::kHostToContainer);
  }
}

TEST(CdiSpec, WhatCannotBeDoneIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"hooks": [{"hookName": "prestart"}]})", "hooks"},
      {R"({"intelRdt": {"closID": "x"}})", "intelRdt"},
      {R"({"netDevices": [{"name": "x"}]})", "netDevices"},
      {R"({"ofTomorrow": 1})", "ofTomorrow"},
      {R"({"deviceNodes": [{"path": "/dev/p", "type": "p"}]})", "\"p\""},
      {R"({"mounts": [{"hostPath": "/h", "containerPath": "/c",
           "type": "tmpfs"}]})",
       "tmpfs"},
      {R"({"mounts": [{"hostPath": "/h", "containerPath": "/c",
           "options": ["idmap"]}]})",
       "idmap"}};
  for (const auto& [edits, what] : cases) {
    const auto spec = WithEdits(edits);
    ASSERT_TRUE(spec.ok()) << edits << ": " << spec.status();
    EXPECT_THAT(spec->devices.at("d").unsupported, HasSubstr(what));
  }
}

TEST(CdiSpec, BrokenEditsBreakTheFile) {
  const std::pair<const char*, const char*> cases[] = {
      {"7", "containerEdits"},
      {R"({"env": ["NOEQUALS"]})", "env"},
      {R"({"env": ["=x"]})", "env"},
      {R"({"env": "A=b"})", "env"},
      {R"({"additionalGids": [-1]})", "additionalGids"},
      {R"({"additionalGids": [null]})", "additionalGids"},
      {R"({"deviceNodes": [{}]})", "deviceNodes[0]"},
      {R"({"deviceNodes": [{"path": "dev/x"}]})", "path"},
      {R"({"deviceNodes": [{"path": "/dev/../x"}]})", "path"},
      {R"({"deviceNodes": [{"path": "/dev/x", "type": "x"}]})", "type"},
      {R"({"deviceNodes": [{"path": "/dev/x", "major": 1}]})", "major"},
      {R"({"deviceNodes": [{"path": "/dev/x", "type": "c", "minor": 1}]})",
       "minor"},
      {R"({"deviceNodes": [{"path": "/dev/x", "type": "c", "major": 4096}]})",
       "major"},
      {R"({"deviceNodes": [{"path": "/dev/x", "permissions": "rx"}]})",
       "permissions"},
      {R"({"deviceNodes": [{"path": "/dev/x", "fileMode": 4096}]})",
       "fileMode"},
      {R"({"deviceNodes": [{"path": "/dev/x", "colour": 1}]})", "colour"},
      {R"({"mounts": [{"hostPath": "/h"}]})", "containerPath"},
      {R"({"mounts": [{"containerPath": "/c"}]})", "hostPath"}};
  for (const auto& [edits, where] : cases) {
    const auto spec = WithEdits(edits);
    EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument)
        << edits;
    EXPECT_THAT(Error(spec), HasSubstr(where)) << edits;
  }
}

TEST(CdiSpec, BrokenFiles) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"kind": "v/c", "devices": []})", "cdiVersion"},
      {R"({"cdiVersion": "9.0.0", "kind": "v/c", "devices": []})",
       "cdiVersion"},
      {R"({"cdiVersion": "0.6.0", "kind": "v", "devices": []})", "kind"},
      {R"({"cdiVersion": "0.6.0", "kind": "v/c"})", "devices"},
      {R"({"cdiVersion": "0.6.0", "kind": "v/c", "devices": [], "x": 1})",
       "\"x\""},
      {R"({"cdiVersion": "0.6.0", "kind": "v/c", "devices": [{}]})",
       "devices[0]"},
      {R"({"cdiVersion": "0.6.0", "kind": "v/c", "devices": [{"name": "/"}]})",
       "devices[0].name"},
      {R"({"cdiVersion": "0.6.0", "kind": "v/c",
           "devices": [{"name": "a"}, {"name": "a"}]})",
       "twice"},
      {R"({"cdiVersion": "0.6.0", "cdiVersion": "0.6.0"})", "twice"},
      {"[]", "object"},
      {"{", "JSON"}};
  for (const auto& [text, where] : cases) {
    const auto spec = ParseText(text);
    EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(Error(spec), HasSubstr(where)) << text;
  }
}

TEST(CdiDocument, YamlIsBounded) {
  const auto error = [](const std::string& text) {
    return std::string(
        ParseCdiDocument(text, CdiFormat::kYaml).status().message());
  };
  EXPECT_THAT(error("a: [b"), HasSubstr("not valid YAML"));
  EXPECT_THAT(error("a: 1\na: 2\n"), HasSubstr("twice"));
  EXPECT_THAT(error("a: 1\n---\nb: 2\n"), HasSubstr("one YAML document"));
  EXPECT_THAT(error(""), HasSubstr("document"));
  EXPECT_THAT(error("- a\n"), HasSubstr("not an object"));
  EXPECT_THAT(error("{[a]: b}"), HasSubstr("key"));
  EXPECT_THAT(error("a: " + std::string(40, '[') + std::string(40, ']')),
              HasSubstr("nested deeper"));
  EXPECT_THAT(error("a: " + std::string(100000, '[')), HasSubstr("YAML"));
  // Each line doubles what the one before stands for.
  std::string laughs = "a0: &a0 [x, x]\n";
  for (int i = 1; i < 24; ++i) {
    const std::string last = std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" +
              last + ", *a" + last + "]\n";
  }
  EXPECT_THAT(error(laughs), HasSubstr("more than 65536 values"));
}

TEST(CdiDocument, YamlScalars) {
  const auto document = ParseCdiDocument(
      "{a: 0666, b: 0o666, c: 0x1f, d: 12, e: -3, f: '12', g: true, h: ~, "
      "i: 08, j: 1.0.0, k: text, l: 0}",
      CdiFormat::kYaml);
  ASSERT_TRUE(document.ok()) << document.status();
  EXPECT_EQ(*document, image::Json::parse(
                           R"({"a": 438, "b": 438, "c": 31, "d": 12, "e": -3,
                               "f": "12", "g": true, "h": null, "i": "08",
                               "j": "1.0.0", "k": "text", "l": 0})"));
}

}  // namespace
}  // namespace warren::agent
