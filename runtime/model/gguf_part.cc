#include "model/gguf_part.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace headwater::model {
namespace {

std::chrono::nanoseconds write_time(const struct stat& info) {
  return std::chrono::seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec);
}

}  // namespace

Error gguf_error(const std::string& path, const std::string& message) {
  return {ErrorCode::invalid_model, path + ": " + message, ""};
}

Result<std::unique_ptr<const GgufPart>> GgufPart::open(const std::string& path) {
  std::unique_ptr<GgufPart> part(new GgufPart);
  part->path_ = path;
  // Without O_NONBLOCK, opening a pipe would wait for somebody to write to it.
  part->descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (part->descriptor_ < 0) return gguf_error(path, std::string("cannot be opened: ") + std::strerror(errno));
  struct stat info {};
  const bool known = fstat(part->descriptor_, &info) == 0;
  if (known && S_ISDIR(info.st_mode)) return gguf_error(path, "is a folder, expected a GGUF file");
  if (!known || !S_ISREG(info.st_mode)) return gguf_error(path, "is no regular file, expected a GGUF file");
  if (info.st_size == 0) return gguf_error(path, "offset 0: the file is empty, expected a GGUF model");
  part->size_ = static_cast<std::uint64_t>(info.st_size);
  part->written_ = write_time(info);
  return std::unique_ptr<const GgufPart>(std::move(part));
}

GgufPart::~GgufPart() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<GgufHeader> GgufPart::header() const {
  // A header's length is known when it has been read: begin with what holds most, and go on from there.
  constexpr std::uint64_t kFirstBytes = std::uint64_t{4} << 20U;
  TensorRoom room;
  for (std::uint64_t bytes = std::min(size_, kFirstBytes);;) {
    const std::span<std::byte> beginning = room.take(bytes);
    if (auto read_all = read(0, beginning); !read_all) return read_all.error();
    try {
      return parse_gguf(beginning, size_);
    } catch (const MoreOfGguf& more) {
      bytes = std::min(size_, std::max(more.bytes, 2 * bytes));
    } catch (const MalformedGguf& malformed) {
      return gguf_error(path_, "offset " + std::to_string(malformed.offset) + ": " + malformed.message);
    }
  }
}

Result<void> GgufPart::read(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got = pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return gguf_error(path_, std::string("cannot be read: ") + std::strerror(errno));
    if (got == 0) {
      return gguf_error(path_, "ends at byte " + std::to_string(offset) + ", and had " + std::to_string(size_) +
                                   " bytes when it was opened; load it again when nothing writes to it");
    }
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return {};
}

Result<void> GgufPart::unchanged() const {
  struct stat info {};
  if (fstat(descriptor_, &info) == 0 && static_cast<std::uint64_t>(info.st_size) == size_ &&
      write_time(info) == written_) {
    return {};
  }
  return gguf_error(path_, "was written to while it was read; load it again when nothing writes to it");
}

}  // namespace headwater::model
