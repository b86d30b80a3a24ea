#ifndef WARREN_TESTS_SUPPORT_HOST_FILE_H_
#define WARREN_TESTS_SUPPORT_HOST_FILE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

// Files and directories as a test on the node sees them.
namespace warren::test {

// "" when it cannot be read.
std::string ReadHostFile(const std::string& path);

// Makes or replaces a file; false (with errno) when it cannot.
bool WriteHostFile(const std::string& path, const std::string& data,
                   mode_t mode = 0644);

// Anything there, also a dangling link?
bool HostFileExists(const std::string& path);

// Inode of /proc/<pid>/ns/<kind>; 0 when it cannot be read.
uint64_t NamespaceInode(pid_t pid, const std::string& kind);

// "Uid" of /proc/<pid>/status: the words after the colon, tabs as blanks.
std::string ProcessStatus(pid_t pid, const std::string& key);

}  // namespace warren::test

#endif  // WARREN_TESTS_SUPPORT_HOST_FILE_H_
