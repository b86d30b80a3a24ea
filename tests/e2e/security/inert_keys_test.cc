// Words that mean something to other runtimes mean nothing here, and
// containers of one image share nothing that can change.
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/support/cri_test.h"
#include "tests/support/oci_image.h"

namespace warren::test {
namespace {

constexpr char kKeysImage[] = "warren.test/keys:1";

// Annotations and labels that other runtimes, their shims and plug-ins act on.
// Those that Warren knows are left out: warren.dev/time-offset.*,
// cdi.k8s.io/*, kubernetes.io/*-bandwidth.
constexpr const char* kKeys[] = {
    // kubelet and kubectl, of old
    "container.apparmor.security.beta.kubernetes.io/main",
    "seccomp.security.alpha.kubernetes.io/pod",
    "container.seccomp.security.alpha.kubernetes.io/main",
    "security.alpha.kubernetes.io/sysctls",
    "security.alpha.kubernetes.io/unsafe-sysctls",
    "io.kubernetes.container.preStopHandler",
    "io.kubernetes.container.terminationMessagePath",
    // containerd
    "io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id",
    "io.kubernetes.cri.sandbox-log-directory",
    "io.kubernetes.cri.untrusted-workload", "io.kubernetes.cri.image-name",
    "io.kubernetes.cri.sandbox-cpu-shares",
    "io.kubernetes.cri.sandbox-cpu-quota", "io.kubernetes.cri.sandbox-memory",
    "io.kubernetes.cri.podsandbox.image-name", "io.kubernetes.cri.username",
    "io.kubernetes.cri.blockio-class", "io.kubernetes.cri.rdt-class",
    "io.containerd.runc.v2.group", "io.containerd.image.log",
    "io.containerd.checkpoint", "containerd.io/logging",
    "containerd.io/restart.logpath", "containerd.io/restart.loguri",
    "containerd.io/snapshot/overlay.upperdir", "containerd.io/log-uri",
    "blockio.resources.beta.kubernetes.io/pod",
    "rdt.resources.beta.kubernetes.io/pod",
    // CRI-O
    "io.kubernetes.cri-o.userns-mode", "io.kubernetes.cri-o.Devices",
    "io.kubernetes.cri-o.ShmSize", "io.kubernetes.cri-o.umask",
    "io.kubernetes.cri-o.UnifiedCgroup.main",
    "io.kubernetes.cri-o.cgroup2-mount-hierarchy-rw",
    "io.kubernetes.cri-o.seccompNotifierAction",
    "io.kubernetes.cri-o.TrySkipVolumeSELinuxLabel",
    "io.kubernetes.cri-o.DisableFIPS", "io.kubernetes.cri-o.LinkLogs",
    "io.kubernetes.cri-o.LogPath", "io.kubernetes.cri-o.MountPoint",
    "io.kubernetes.cri-o.HostNetwork", "io.kubernetes.cri-o.NamespaceOptions",
    "io.kubernetes.cri-o.PrivilegedRuntime", "io.kubernetes.cri-o.Spoofed",
    "io.kubernetes.cri-o.SeccompProfilePath", "io.kubernetes.cri-o.Volumes",
    "io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.CgroupParent",
    "io.kubernetes.cri-o.ResolvPath", "io.kubernetes.cri-o.Stdin",
    "io.kubernetes.cri-o.PodLinuxResources",
    "io.kubernetes.cri-o.RuntimeHandler", "seccomp-profile.kubernetes.cri-o.io",
    "seccomp-profile.kubernetes.cri-o.io/POD", "cpu-load-balancing.crio.io",
    "cpu-quota.crio.io", "irq-load-balancing.crio.io", "cpu-c-states.crio.io",
    "cpu-freq-governor.crio.io", "cpu-shared.crio.io/main", "link-logs.crio.io",
    "umask.crio.io", "devices.crio.io", "shm-size.crio.io",
    "userns-mode.crio.io", "unified-cgroup.crio.io/main",
    "disable-fips.crio.io", "pod-linux-resources.crio.io",
    "target.workload.openshift.io/management",
    "resources.workload.openshift.io/main",
    // runc, crun and systemd
    "org.systemd.property.ExecStartPost", "org.systemd.property.DevicePolicy",
    "org.systemd.property.TasksMax", "org.systemd.property.CollectMode",
    "run.oci.keep_original_groups", "run.oci.systemd.force_cgroup_v1",
    "run.oci.systemd.subgroup", "run.oci.delegate-cgroup",
    "run.oci.seccomp_fail_unknown_syscall", "run.oci.seccomp.receiver",
    "run.oci.seccomp.plugins", "run.oci.seccomp_bpf_data",
    "run.oci.hooks.stdout", "run.oci.hooks.stderr", "run.oci.pidfd_receiver",
    "run.oci.handler", "run.oci.mount_context_type", "run.oci.timens_offset",
    "org.criu.config", "org.opencontainers.runc.root",
    "io.podman.annotations.privileged", "io.podman.annotations.seccomp",
    "io.podman.annotations.userns", "io.podman.annotations.pids-limit/main",
    // virtual machines
    "io.microsoft.virtualmachine.computetopology.memory.sizeinmb",
    "io.microsoft.container.storage.shm.size-kb",
    "com.microsoft.azure.container.acr", "dev.gvisor.flag.debug",
    "dev.gvisor.spec.mount.data.source", "dev.gvisor.internal.seccomp",
    "io.katacontainers.config.hypervisor.path",
    "io.katacontainers.config.agent.kernel_modules",
    // NRI and hooks
    "devices.nri.io/main", "mounts.nri.io/main", "ulimits.nri.io/main",
    "ulimits.nri.containerd.io/container.main",
    "oci-hook-injector.nri.containerd.io", "network.nri.io/main",
    "k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network",
    // image labels
    "org.opencontainers.image.base.name", "io.buildpacks.lifecycle.metadata",
    "org.opencontainers.image.stopSignal", "com.docker.compose.project",
    "INSTALL", "RUN", "io.containers.capabilities",
    "io.openshift.s2i.scripts-url", "run.oci.wasm",
    "module.wasm.image/variant"};
constexpr const char* kValues[] = {
    "true",
    "/etc/passwd",
    "ALL",
    R"([{"name":"x","path":"/dev/mem","type":"c","major":1,"minor":1}])",
    "['/bin/sh', '-c', 'touch /escaped']",
    "binary:///bin/touch?/escaped",
    "unconfined",
    "auto:size=65536;keep-id=true"};

// All there is to see of what a container was given.
constexpr char kLook[] =
    "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Umask|Threads|Cpus|Mems)'"
    " /proc/1/status; grep -v '^Max pending' /proc/1/limits; env | sort; "
    "tr '\\0' '\\n' < /proc/1/environ | sort; tr '\\0' ' ' < /proc/1/cmdline; "
    "awk '{print $5, $6, $7, $8, $9}' /proc/1/mountinfo; readlink /proc/1/cwd; "
    "hostname; id; cat /proc/1/oom_score_adj /proc/1/timens_offsets "
    "/etc/hosts /etc/hostname /etc/resolv.conf; ls -ln /dev /dev/shm "
    "/proc/1/fd "
    "| awk '{print $1, $3, $4, $5, $NF}' | sed 's/pipe:.*/pipe/'; "
    "df -k /dev/shm; ls /; find /sys/fs/cgroup -maxdepth 2 -name '*.max' -o "
    "-maxdepth 2 -name '*quota_us' -o -maxdepth 2 -name '*limit_in_bytes' | "
    "sort | xargs cat";

class InertKeysTest : public CriTest {
 protected:
  void Import(const std::string& value) {
    std::vector<std::string> labels;
    if (!value.empty()) {
      std::string quoted;
      for (const char c : value) {
        if (c == '"') quoted += '\\';
        quoted += c;
      }
      for (const char* key : kKeys) {
        labels.push_back(absl::StrCat("\"", key, "\":\"", quoted, "\""));
      }
    }
    OciImage image;
    image.config_json = absl::StrCat("{\"Env\":[\"A=image\"],\"Labels\":{",
                                     absl::StrJoin(labels, ","), "}}");
    image.layers = {BusyboxLayer(
        {"sh", "grep", "env", "sort", "tr", "awk", "id", "cat", "ls", "sed",
         "find", "df", "hostname", "readlink", "sleep", "xargs"},
        {})};
    ASSERT_TRUE(client().ImportImage(kKeysImage, OciArchive(image)).ok());
  }
  void TearDown() override {
    RemoveAllPods();
    cri::RemoveImageRequest remove;
    remove.mutable_image()->set_image(kKeysImage);
    client().Call<cri::RemoveImageResponse>(remove).IgnoreError();
    CriTest::TearDown();
  }
  // What a container sees of itself when every key has this value.
  std::string Look(const std::string& value, bool sandbox, bool container) {
    cri::PodSandboxConfig pod = Pod("pod");
    pod.mutable_dns_config()->add_servers("192.0.2.53");
    cri::ContainerConfig config = IdleConfig("main");
    config.mutable_image()->set_image(kKeysImage);
    for (const char* key : kKeys) {
      if (sandbox) {
        (*pod.mutable_annotations())[key] = value;
        (*pod.mutable_labels())[key] = value;
      }
      if (container) {
        (*config.mutable_annotations())[key] = value;
        (*config.mutable_labels())[key] = value;
      }
    }
    const std::string pod_id = RunPod(pod);
    const std::string look = ShellOutput(Run(pod_id, pod, config), kLook);
    RemoveAllPods();
    return WithoutAddress(look);
  }
  // Each pod gets the next address.
  static std::string WithoutAddress(std::string text) {
    for (size_t at; (at = text.find("10.88.")) != std::string::npos;) {
      text.erase(at, text.find_first_not_of("0123456789.", at) - at);
    }
    return text;
  }
};

TEST_F(InertKeysTest, IMG_6_KeysOfOtherRuntimesHaveNoEffect) {
  Import("");
  const std::string plain = Look("", false, false);
  ASSERT_TRUE(absl::StrContains(plain, "CapBnd"));
  ASSERT_TRUE(absl::StrContains(plain, "Max open files"));
  for (const char* value : kValues) {
    EXPECT_EQ(Look(value, true, false), plain) << value;
    EXPECT_EQ(Look(value, false, true), plain) << value;
    Import(value);
    EXPECT_EQ(Look("", false, false), plain) << "image labels: " << value;
    Import("");
  }
  EXPECT_FALSE(HostFileExists("/escaped"));
}

TEST_F(InertKeysTest, IMG_7_ParallelCreatesOfOneImageDoNotMix) {
  Import("");
  constexpr int kContainers = 100;
  constexpr int kThreads = 10;
  cri::PodSandboxConfig pod = Pod("pod");
  const std::string pod_id = RunPod(pod);
  std::vector<std::string> ids(kContainers);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      CriClient own(daemon().socket());
      for (int i = t; i < kContainers; i += kThreads) {
        cri::ContainerConfig config =
            ShellConfig(absl::StrCat("c", i), "env | grep -E '^(A|V[0-9])'");
        config.mutable_image()->set_image(kKeysImage);
        auto* env = config.add_envs();
        env->set_key(i % 2 == 0 ? "A" : absl::StrCat("V", i));
        env->set_value(absl::StrCat("mine", i));
        auto id = own.CreateContainer(pod_id, config, pod);
        ASSERT_TRUE(id.ok()) << id.status();
        ASSERT_TRUE(own.StartContainer(*id).ok());
        ids[i] = *id;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kContainers; ++i) {
    ASSERT_NE(ids[i], "");
    WaitExited(ids[i]);
    const std::string log = ReadHostFile(StatusOf(ids[i]).log_path());
    const bool even = i % 2 == 0;
    EXPECT_TRUE(absl::StrContains(
        log, even ? absl::StrCat("A=mine", i, "\n") : "A=image\n"))
        << log;
    EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), even ? 1 : 2) << log;
  }
}

}  // namespace
}  // namespace warren::test
