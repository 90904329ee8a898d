#pragma once
// Files of which calls fail as they are told. Only calls that the store makes are counted, each once.

#include <algorithm>
#include <cerrno>
#include <functional>
#include <string>

#include "cache/tier/file_system.h"

namespace headwater::cache {

class FaultyFiles : public FileSystem {
 public:
  /// What becomes of a call: 0, or the errno that it fails with. `number`: of the call, from 0.
  std::function<int(const std::string& call, int number)> fault = [](const std::string&, int) { return 0; };
  /// The most that one call writes.
  std::size_t most_written = SIZE_MAX;
  int calls = 0;
  int open_files = 0;

  int open(int folder, const char* path, int flags, mode_t mode) override {
    if (fails("open")) return -1;
    const int fd = FileSystem::open(folder, path, flags, mode);
    if (fd >= 0) ++open_files;
    return fd;
  }
  int close(int fd) override {
    --open_files;
    return FileSystem::close(fd);
  }
  ssize_t read(int fd, void* to, std::size_t bytes, off_t at) override {
    return fails("read") ? -1 : FileSystem::read(fd, to, bytes, at);
  }
  ssize_t write(int fd, const void* from, std::size_t bytes, off_t at) override {
    if (fails("write")) {
      // As a disk that fills up: a part is written.
      const int error = errno;
      (void)FileSystem::write(fd, from, bytes / 2, at);
      errno = error;
      return -1;
    }
    return FileSystem::write(fd, from, std::min(bytes, most_written), at);
  }
  int truncate(int fd, off_t size) override { return fails("truncate") ? -1 : FileSystem::truncate(fd, size); }
  int punch(int fd, off_t at, off_t bytes) override { return fails("punch") ? -1 : FileSystem::punch(fd, at, bytes); }
  int sync(int /*fd*/) override { return fails("sync") ? -1 : 0; }  // no test loses power
  int lock(int fd) override { return fails("lock") ? -1 : FileSystem::lock(fd); }
  int stat(int fd, struct stat* to) override { return fails("stat") ? -1 : FileSystem::stat(fd, to); }
  int stat_path(int folder, const char* path, struct stat* to) override {
    return fails("stat_path") ? -1 : FileSystem::stat_path(folder, path, to);
  }
  int stat_disk(int fd, struct statvfs* to) override { return fails("stat_disk") ? -1 : FileSystem::stat_disk(fd, to); }
  int make_folder(const char* path, mode_t mode) override {
    return fails("make_folder") ? -1 : FileSystem::make_folder(path, mode);
  }
  int protect(int fd, mode_t mode) override { return fails("protect") ? -1 : FileSystem::protect(fd, mode); }
  int remove(int folder, const char* path) override { return fails("remove") ? -1 : FileSystem::remove(folder, path); }
  int list(int folder, std::vector<std::string>& names) override {
    return fails("list") ? -1 : FileSystem::list(folder, names);
  }

 private:
  bool fails(const char* call) {
    const int error = fault(call, calls++);
    if (error != 0) errno = error;
    return error != 0;
  }
};

}  // namespace headwater::cache
