#ifndef WARREN_RUNTIME_IMAGE_COMPRESSION_H_
#define WARREN_RUNTIME_IMAGE_COMPRESSION_H_

namespace warren::image {

// How the tar of a layer is packed.
enum class Compression { kNone, kGzip, kZstd };

}  // namespace warren::image

#endif  // WARREN_RUNTIME_IMAGE_COMPRESSION_H_
