#include "tests/support/pod_configs.h"

#include <absl/strings/str_cat.h>

namespace warren::test {

namespace cri = ::runtime::v1;

cri::PodSandboxConfig PodConfig(const std::string& name,
                                const std::string& log_root) {
  cri::PodSandboxConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_metadata()->set_uid("uid-" + name);
  config.mutable_metadata()->set_namespace_("tests");
  config.set_hostname(name);
  config.set_log_directory(absl::StrCat(log_root, "/", name));
  NamespaceOptions(&config)->set_pid(cri::CONTAINER);
  return config;
}

cri::ContainerConfig ContainerConfig(const std::string& name,
                                     const std::vector<std::string>& command) {
  cri::ContainerConfig config;
  config.mutable_metadata()->set_name(name);
  config.mutable_image()->set_image(kBusybox);
  for (const std::string& word : command) config.add_command(word);
  config.set_log_path(absl::StrCat(name, "/0.log"));
  NamespaceOptions(&config)->set_pid(cri::CONTAINER);
  return config;
}

cri::ContainerConfig ShellConfig(const std::string& name,
                                 const std::string& script) {
  return ContainerConfig(name, {"sh", "-c", script});
}

cri::ContainerConfig IdleConfig(const std::string& name) {
  return ShellConfig(name,
                     "trap 'exit 0' TERM; while :; do sleep 1000 & wait; done");
}

cri::NamespaceOption* NamespaceOptions(cri::PodSandboxConfig* pod) {
  return pod->mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options();
}

cri::NamespaceOption* NamespaceOptions(cri::ContainerConfig* container) {
  return container->mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options();
}

void UseUserNamespace(cri::NamespaceOption* options, uint32_t host_start) {
  cri::UserNamespace* userns = options->mutable_userns_options();
  userns->set_mode(cri::POD);
  for (cri::IDMapping* mapping : {userns->add_uids(), userns->add_gids()}) {
    mapping->set_host_id(host_start);
    mapping->set_container_id(0);
    mapping->set_length(65536);
  }
}

void AddMount(cri::ContainerConfig* container, const std::string& host_path,
              const std::string& container_path, bool readonly) {
  cri::Mount* mount = container->add_mounts();
  mount->set_host_path(host_path);
  mount->set_container_path(container_path);
  mount->set_readonly(readonly);
}

}  // namespace warren::test
