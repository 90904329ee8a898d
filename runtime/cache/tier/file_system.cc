#include "cache/tier/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>

namespace headwater::cache {

int FileSystem::open(int folder, const char* path, int flags, mode_t mode) {
  return openat(folder, path, flags | O_CLOEXEC, mode);
}
int FileSystem::close(int fd) { return ::close(fd); }
ssize_t FileSystem::read(int fd, void* to, std::size_t bytes, off_t at) { return pread(fd, to, bytes, at); }
ssize_t FileSystem::write(int fd, const void* from, std::size_t bytes, off_t at) { return pwrite(fd, from, bytes, at); }
int FileSystem::truncate(int fd, off_t size) { return ftruncate(fd, size); }
int FileSystem::punch(int fd, off_t at, off_t bytes) {
  return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, bytes);
}
int FileSystem::sync(int fd) { return fdatasync(fd); }
int FileSystem::lock(int fd) { return flock(fd, LOCK_EX | LOCK_NB); }
int FileSystem::stat(int fd, struct stat* to) { return fstat(fd, to); }
int FileSystem::stat_path(int folder, const char* path, struct stat* to) { return fstatat(folder, path, to, 0); }
int FileSystem::stat_disk(int fd, struct statvfs* to) { return fstatvfs(fd, to); }
int FileSystem::make_folder(const char* path, mode_t mode) { return mkdir(path, mode); }
int FileSystem::protect(int fd, mode_t mode) { return fchmod(fd, mode); }
int FileSystem::remove(int folder, const char* path) { return unlinkat(folder, path, 0); }

int FileSystem::list(int folder, std::vector<std::string>& names) {
  const int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(fdopendir(fd), closedir);
  if (entries == nullptr) {
    const int error = errno;
    ::close(fd);
    errno = error;
    return -1;
  }
  while (names.size() < kMostNames) {
    errno = 0;
    const dirent* const entry = readdir(entries.get());
    if (entry == nullptr) return errno == 0 ? 0 : -1;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  return 0;
}

FileSystem& system_files() {
  static FileSystem files;
  return files;
}

bool Io::no_space() const { return error == ENOSPC || error == EDQUOT; }
std::string Io::reason() const { return std::generic_category().message(error); }

Io read_some(FileSystem& files, int fd, std::span<std::byte> to, off_t at, std::size_t& got) {
  got = 0;
  while (got < to.size()) {
    const ssize_t n = files.read(fd, to.data() + got, to.size() - got, at + static_cast<off_t>(got));
    if (n == 0) break;
    if (n > 0) {
      got += static_cast<std::size_t>(n);
    } else if (errno != EINTR) {
      return {errno, "read"};
    }
  }
  return {};
}

Io write_all(FileSystem& files, int fd, std::span<const std::byte> from, off_t at) {
  std::size_t done = 0;
  while (done < from.size()) {
    const ssize_t n = files.write(fd, from.data() + done, from.size() - done, at + static_cast<off_t>(done));
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else if (n == 0 || errno != EINTR) {
      return {n == 0 ? EIO : errno, "write"};
    }
  }
  return {};
}

}  // namespace headwater::cache
