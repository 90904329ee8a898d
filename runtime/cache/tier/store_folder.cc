#include "cache/tier/store_folder.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <string_view>
#include <system_error>

namespace headwater::cache {
namespace {

constexpr const char* kFolder = "headwater-kv";
constexpr const char* kLock = "headwater.lock";
constexpr std::string_view kPrefix = "segment-";
constexpr std::size_t kDigits = 16;
constexpr std::string_view kEndings[] = {".index", ".data"};
/// Nobody else's: what is in it tells of prompts.
constexpr mode_t kFolderMode = 0700, kFileMode = 0600;

std::string file_name(std::uint64_t segment, SegmentFile file) {
  std::array<char, kDigits + 1> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(segment));
  return std::string(kPrefix) + digits.data() + std::string(kEndings[static_cast<std::size_t>(file)]);
}

std::optional<std::uint64_t> segment_of(std::string_view name) {
  for (const std::string_view ending : kEndings) {
    if (!name.starts_with(kPrefix) || !name.ends_with(ending)) continue;
    const std::string_view digits = name.substr(kPrefix.size(), name.size() - kPrefix.size() - ending.size());
    std::uint64_t number = 0;
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
    if (digits.size() == kDigits && failed == std::errc() && end == digits.data() + digits.size()) return number;
  }
  return std::nullopt;
}

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// Whether an older version, whose store was RocksDB's, has left it in a folder that is ours by its name.
bool is_older(std::string_view name) {
  constexpr std::string_view kNames[] = {"CURRENT", "IDENTITY", "LOCK", "LOG"};
  if (std::ranges::find(kNames, name) != std::end(kNames)) return true;
  for (const std::string_view prefix : {"MANIFEST-", "OPTIONS-", "LOG.old."}) {
    if (name.starts_with(prefix) && is_number(name.substr(prefix.size()))) return true;
  }
  const std::size_t dot = name.find('.');
  if (dot == std::string_view::npos || !is_number(name.substr(0, dot))) return false;
  const std::string_view ending = name.substr(dot);
  return ending == ".sst" || ending == ".log" || ending == ".dbtmp";
}

}  // namespace

StoreFolder::StoreFolder(FileSystem& files, std::string parent)
    : files_(files), path_(std::move(parent) + "/" + kFolder) {}

std::string StoreFolder::cannot(const char* what, int code) const {
  return std::string("cannot ") + what + " " + path_ + ": " + std::generic_category().message(code);
}

void StoreFolder::close() {
  lock_ = Descriptor();
  folder_ = Descriptor();
}

bool StoreFolder::open(std::string& error) {
  close();
  removed_ = 0;
  const bool opened = open_folder(error) && look_around(error) && take_lock(error);
  if (!opened) close();
  for (const std::string& name : older_) {
    if (!opened) break;
    if (files_.remove(folder_.get(), name.c_str()) == 0) ++removed_;
  }
  return opened;
}

bool StoreFolder::open_folder(std::string& error) {
  // Each folder on the way; those that are there say so.
  for (std::size_t end = path_.find('/', 1); end != std::string::npos; end = path_.find('/', end + 1)) {
    files_.make_folder(path_.substr(0, end).c_str(), kFolderMode);
  }
  const bool made = files_.make_folder(path_.c_str(), kFolderMode) == 0 || errno == EEXIST;
  const int why = errno;
  folder_ = Descriptor(files_, files_.open(AT_FDCWD, path_.c_str(), O_RDONLY | O_DIRECTORY, 0));
  if (!folder_) {
    error = made ? cannot("open the folder", errno) : cannot("make the folder", why);
    return false;
  }
  struct stat now {};
  if (files_.stat(folder_.get(), &now) != 0) {
    error = cannot("look at the folder", errno);
    return false;
  }
  device_ = now.st_dev;
  inode_ = now.st_ino;
  if ((now.st_mode & 0777) != kFolderMode) files_.protect(folder_.get(), kFolderMode);
  return true;
}

bool StoreFolder::look_around(std::string& error) {
  older_.clear();
  std::vector<std::string> names;
  if (files_.list(folder_.get(), names) != 0) {
    error = cannot("read the folder", errno);
    return false;
  }
  std::string foreign;
  bool ours = names.empty();
  for (const std::string& name : names) {
    if (name == kLock || segment_of(name)) {
      ours = true;
    } else if (is_older(name)) {
      older_.push_back(name);
    } else {
      foreign = name;
    }
  }
  if (ours || foreign.empty()) return true;
  if (!older_.empty()) {
    older_.clear();  // some other database's
  }
  error = path_ + " has files of something else in it, such as \"" + foreign +
          "\"; move them away, or name another folder for the disk tier";
  return false;
}

bool StoreFolder::take_lock(std::string& error) {
  lock_ = Descriptor(files_, files_.open(folder_.get(), kLock, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, kFileMode));
  if (!lock_) {
    error = cannot("make a lock file in", errno);
    return false;
  }
  if (files_.lock(lock_.get()) == 0) return true;
  error = errno == EWOULDBLOCK ? path_ + " is in use by another process; each server needs a folder of its own"
                               : cannot("lock", errno);
  return false;
}

Io StoreFolder::check() const {
  struct stat now {};
  if (files_.stat_path(AT_FDCWD, path_.c_str(), &now) != 0) return {errno, "find the folder"};
  if (now.st_dev != device_ || now.st_ino != inode_) return {ESTALE, "find the folder"};
  return {};
}

Io StoreFolder::segments(std::vector<std::uint64_t>& numbers) const {
  std::vector<std::string> names;
  if (files_.list(folder_.get(), names) != 0) return {errno, "read the folder"};
  for (const std::string& name : names) {
    if (const auto number = segment_of(name)) numbers.push_back(*number);
  }
  std::ranges::sort(numbers);
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return {};
}

Io StoreFolder::open_file(std::uint64_t segment, SegmentFile file, int flags, Descriptor& to) const {
  const std::string name = file_name(segment, file);
  // No waiting for the other end of a pipe that somebody has put there.
  to = Descriptor(files_, files_.open(folder_.get(), name.c_str(), flags | O_NOFOLLOW | O_NONBLOCK, kFileMode));
  if (!to) return {errno == ELOOP || errno == EISDIR || errno == ENXIO ? ENOENT : errno, "open a file"};
  struct stat now {};
  if (files_.stat(to.get(), &now) != 0) return {errno, "look at a file"};
  return S_ISREG(now.st_mode) ? Io{} : Io{ENOENT, "open a file"};
}

Io StoreFolder::remove_file(std::uint64_t segment, SegmentFile file) const {
  if (files_.remove(folder_.get(), file_name(segment, file).c_str()) == 0) return {};
  return errno == ENOENT || errno == EISDIR ? Io{} : Io{errno, "remove a file"};
}

Io StoreFolder::sync() const { return files_.sync(folder_.get()) == 0 ? Io{} : Io{errno, "write"}; }

std::optional<std::uint64_t> StoreFolder::free_bytes() const {
  struct statvfs disk {};
  if (files_.stat_disk(folder_.get(), &disk) != 0 || disk.f_blocks == 0) return std::nullopt;
  return static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
}

}  // namespace headwater::cache
