#pragma once
// The folder of a disk tier: made, locked, and known again. Whose files are in it is told by their names; a file with
// another name is never touched.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cache/tier/file_system.h"

namespace headwater::cache {

/// The two files of a segment.
enum class SegmentFile : std::uint8_t { index, data };

/// Threading: one caller, which may have to wait for the device.
class StoreFolder {
 public:
  /// In `parent` the store has a folder of its own. `files` outlives it.
  StoreFolder(FileSystem& files, std::string parent);

  /// Makes what is missing of it, locks it, and empties it of what an older version left there. Where that fails,
  /// `error` says why; it is closed then.
  bool open(std::string& error);
  void close();
  bool is_open() const { return bool(folder_); }
  /// Files of an older version that open() has removed.
  std::size_t removed() const { return removed_; }

  /// Whether the path still leads to what was opened. Error: it was moved, deleted or covered.
  Io check() const;

  /// Numbers of the segments of which at least one file is there, in their order.
  Io segments(std::vector<std::uint64_t>& numbers) const;
  /// Opens a plain file; anything else with that name is ENOENT. `flags`: O_RDWR and such.
  Io open_file(std::uint64_t segment, SegmentFile file, int flags, Descriptor& to) const;
  /// It is no error where there is none, or what is there is no file.
  Io remove_file(std::uint64_t segment, SegmentFile file) const;
  /// What was removed is gone for good.
  Io sync() const;
  /// none: the disk does not tell.
  std::optional<std::uint64_t> free_bytes() const;

  FileSystem& files() const { return files_; }
  const std::string& path() const { return path_; }

 private:
  bool open_folder(std::string& error);
  bool look_around(std::string& error);
  bool take_lock(std::string& error);
  std::string cannot(const char* what, int code) const;

  FileSystem& files_;
  std::string path_;
  Descriptor folder_, lock_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::size_t removed_ = 0;
  std::vector<std::string> older_;  ///< files of an older version
};

}  // namespace headwater::cache
