#pragma once
// What the disk tier asks of the system. Nothing here throws or ends the process: a call that fails is a value.

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace headwater::cache {

/// The system's calls as they are: -1 and errno. Virtual, so that a test can let any of them fail. A path is relative
/// to the open folder, or to the working directory for AT_FDCWD.
///
/// Threading: as the system's calls.
class FileSystem {
 public:
  FileSystem() = default;
  virtual ~FileSystem() = default;
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;

  virtual int open(int folder, const char* path, int flags, mode_t mode);
  virtual int close(int fd);
  virtual ssize_t read(int fd, void* to, std::size_t bytes, off_t at);
  virtual ssize_t write(int fd, const void* from, std::size_t bytes, off_t at);
  virtual int truncate(int fd, off_t size);
  /// Gives the bytes back to the disk; they read as zeros then.
  virtual int punch(int fd, off_t at, off_t bytes);
  virtual int sync(int fd);
  /// Locks a file for this opening of it alone; EWOULDBLOCK: another has it.
  virtual int lock(int fd);
  virtual int stat(int fd, struct stat* to);
  virtual int stat_path(int folder, const char* path, struct stat* to);
  virtual int stat_disk(int fd, struct statvfs* to);
  virtual int make_folder(const char* path, mode_t mode);
  virtual int protect(int fd, mode_t mode);
  virtual int remove(int folder, const char* path);
  /// The names in a folder, kMostNames at most.
  virtual int list(int folder, std::vector<std::string>& names);

  static constexpr std::size_t kMostNames = 1 << 17;
};

/// The system's files.
FileSystem& system_files();

/// How a call ended.
struct [[nodiscard]] Io {
  int error = 0;           ///< errno's; 0: well
  const char* doing = "";  ///< for a message: "cannot <doing> …"
  explicit operator bool() const { return error == 0; }
  /// The disk, or what one may take of it, is full.
  bool no_space() const;
  std::string reason() const;  ///< the error in words
};

/// A file descriptor, closed when it goes.
class Descriptor {
 public:
  Descriptor() = default;
  Descriptor(FileSystem& files, int fd) : files_(&files), fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : files_(other.files_), fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(files_, other.files_);
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) files_->close(fd_);
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  FileSystem* files_ = nullptr;
  int fd_ = -1;
};

/// Reads what there is, up to `to.size()`; `got`: bytes, fewer where the file ends.
Io read_some(FileSystem& files, int fd, std::span<std::byte> to, off_t at, std::size_t& got);
Io write_all(FileSystem& files, int fd, std::span<const std::byte> from, off_t at);

}  // namespace headwater::cache
