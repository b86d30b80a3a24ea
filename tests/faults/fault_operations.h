#ifndef WARREN_TESTS_FAULTS_FAULT_OPERATIONS_H_
#define WARREN_TESTS_FAULTS_FAULT_OPERATIONS_H_

#include <absl/status/status.h>

#include <string>

#include "tests/faults/fault_case.h"
#include "tests/support/cri_test.h"
#include "tests/support/oci_image.h"

namespace warren::test {

// The operations of the walk, each with what has to be there before. Their
// daemon has the fault layer.
class FaultOperations : public CriTest {
 protected:
  void SetUp() override;

  // Everything before the operation, without faults. Fails the test.
  void Prepare(faults::Operation operation);
  absl::Status Do(faults::Operation operation);
  // What a caller does after an error. A container that failed to start is
  // EXITED: another one takes its place.
  absl::Status Again(faults::Operation operation);
  // Of the container of the operation; -1 when it has not ended, or when
  // nobody knows how it did.
  int ExitCode();

 private:
  cri::ContainerConfig Main();
  // With ids of its own, a terminal and an image as a volume.
  cri::ContainerConfig Mapped();
  // Ends at once and leaves a child behind.
  cri::ContainerConfig Leaving();
  absl::Status Create(const cri::ContainerConfig& config);
  absl::Status Exec();
  absl::Status ExecUntilTimeout();
  absl::Status RunMapped();
  absl::Status RunHostPids();
  // What a node agent is asked for beside all that.
  absl::Status LookAndChange();
  absl::Status RemoveImage();

  cri::PodSandboxConfig pod_;
  std::string pod_id_, id_;
  const std::string archive_ =
      OciArchive({.layers = {Tar({{.name = "file", .content = "x"}})}});
  int pods_ = 0;
};

}  // namespace warren::test

#endif  // WARREN_TESTS_FAULTS_FAULT_OPERATIONS_H_
