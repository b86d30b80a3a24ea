#include "tests/support/temp_directory.h"

#include <fcntl.h>

#include <cstdio>
#include <cstdlib>

#include "runtime/base/file.h"
#include "tests/support/node_namespace.h"

namespace warren::test {

TempDirectory::TempDirectory() {
  const char* tmpdir = std::getenv("TMPDIR");
  path_ = InNode() ? TempRoot() : (tmpdir != nullptr ? tmpdir : "/tmp");
  path_ += "/warren-test-XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) {
    std::perror("mkdtemp");
    std::abort();
  }
}

TempDirectory::~TempDirectory() {
  const size_t slash = path_.rfind('/');
  auto parent =
      base::OpenAt(AT_FDCWD, path_.substr(0, slash), O_PATH | O_DIRECTORY);
  if (!parent.ok()) return;
  base::RemoveTree(parent->get(), path_.substr(slash + 1)).IgnoreError();
}

}  // namespace warren::test
