#ifndef WARREN_TESTS_SUPPORT_ESCAPE_METADATA_H_
#define WARREN_TESTS_SUPPORT_ESCAPE_METADATA_H_

namespace warren::escape {

// A verb of warren_escape_probe (FS-11): tries to change mode, owner, times and
// attributes of each of `paths`, of everything below /dev, and of what is
// behind its descriptors 0 to 2. Prints a line for each, "path
// chmod=ERRNO chown=… utimes=… setxattr=…", "OK" for what worked. An exit code.
int ChangeMetadata(int count, char** paths);

}  // namespace warren::escape

#endif  // WARREN_TESTS_SUPPORT_ESCAPE_METADATA_H_
