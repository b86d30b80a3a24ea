#ifndef WARREN_RUNTIME_IMAGE_COMPLETION_H_
#define WARREN_RUNTIME_IMAGE_COMPLETION_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/image/digest.h"
#include "runtime/image/layer_stack.h"
#include "runtime/image/unpacker.h"

// Layers unpack alone, so that they are shared by all images and unpack side
// by side. What a layer leans on (leanings.h) is looked up when an image is
// composed, in the layers below it of this image, and put into one more layer
// on top of all: directories with the owner, mode and attributes that they
// have below, and hard links. Most images need none.
namespace warren::image {

struct Completion {
  // Directories, with all above them, and the layer whose directory each of
  // them is like; none: 0755 of root.
  std::map<std::string, std::optional<size_t>> directories;
  std::map<std::string, LayerStack::File> links;
  // What an importer should know; one sentence each, at most kMaxRemarks.
  std::vector<std::string> remarks;

  // The image needs no further layer.
  bool empty() const { return directories.empty(); }
};

// Looks up what the layers lean on. kInvalidArgument: a hard link has no file,
// with the names of both. kResourceExhausted: past kMaxStackLeaningBytes.
absl::StatusOr<Completion> PlanCompletion(const LayerStack& stack);

// Makes the layer in the empty directory `target`, which is borrowed. After an
// error it is to be thrown away.
absl::StatusOr<LayerSize> MakeCompletion(const LayerStack& stack,
                                         const Completion& completion,
                                         int target);

// The name of the layer in the store, in the place of a diff ID. It is the
// digest of a text that is no tar, so no layer of a stranger has it.
Digest CompletionId(const std::vector<Digest>& diff_ids);

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_COMPLETION_H_
