#include "model/gguf.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <optional>
#include <unordered_map>

#include "model/gguf_parse.h"

namespace headwater::model {
namespace {

Error file_error(const std::string& path, const std::string& message) {
  return {ErrorCode::invalid_model, path + ": " + message, ""};
}

}  // namespace

struct GgufFile::Index {
  std::unordered_map<std::string_view, std::size_t> metadata, tensors;
};

std::span<std::byte> TensorRoom::take(std::size_t bytes) {
  if (bytes > size_) {
    memory_.reset();  // both may not fit
    size_ = 0;
    memory_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
    size_ = bytes;
  }
  return {memory_.get(), bytes};
}

Result<void> GgufFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t got = pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error(path_, std::string("cannot be read: ") + std::strerror(errno));
    if (got == 0) {
      return file_error(path_, "ends at byte " + std::to_string(offset) + ", and had " + std::to_string(size_) +
                                   " bytes when it was opened; load it again when nothing writes to it");
    }
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return {};
}

Result<void> GgufFile::parse() {
  // A header's length is known when it has been read: begin with what holds most, and go on from there.
  constexpr std::uint64_t kFirstBytes = std::uint64_t{4} << 20U;
  GgufHeader header;
  TensorRoom room;
  for (std::uint64_t bytes = std::min(size_, kFirstBytes);;) {
    const std::span<std::byte> beginning = room.take(bytes);
    if (auto read_all = read(0, beginning); !read_all) return read_all;
    try {
      header = parse_gguf(beginning, size_);
      break;
    } catch (const MoreOfGguf& more) {
      bytes = std::min(size_, std::max(more.bytes, 2 * bytes));
    } catch (const MalformedGguf& malformed) {
      return file_error(path_, "offset " + std::to_string(malformed.offset) + ": " + malformed.message);
    }
  }
  version_ = header.version;
  metadata_ = std::move(header.metadata);
  tensors_ = std::move(header.tensors);
  for (std::size_t i = 0; i < metadata_.size(); ++i) index_->metadata.emplace(metadata_[i].first, i);
  for (std::size_t i = 0; i < tensors_.size(); ++i) index_->tensors.emplace(tensors_[i].name, i);
  return {};
}

namespace {

std::chrono::nanoseconds write_time(const struct stat& info) {
  return std::chrono::seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec);
}

}  // namespace

GgufFile::GgufFile() : index_(std::make_unique<Index>()) {}

Result<std::shared_ptr<const GgufFile>> GgufFile::open(const std::string& path) {
  std::shared_ptr<GgufFile> file(new GgufFile);
  file->path_ = path;
  // Without O_NONBLOCK, opening a pipe would wait for somebody to write to it.
  file->descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file->descriptor_ < 0) return file_error(path, std::string("cannot be opened: ") + std::strerror(errno));
  struct stat info {};
  const bool known = fstat(file->descriptor_, &info) == 0;
  if (!known || !S_ISREG(info.st_mode)) return file_error(path, "is not a regular file, expected a GGUF model");
  if (info.st_size == 0) return file_error(path, "offset 0: the file is empty, expected a GGUF model");
  file->size_ = static_cast<std::uint64_t>(info.st_size);
  file->written_ = write_time(info);
  if (auto parsed = file->parse(); !parsed) return parsed.error();
  return std::shared_ptr<const GgufFile>(std::move(file));
}

GgufFile::~GgufFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> GgufFile::unchanged() const {
  struct stat info {};
  if (fstat(descriptor_, &info) == 0 && static_cast<std::uint64_t>(info.st_size) == size_ &&
      write_time(info) == written_) {
    return {};
  }
  return file_error(path_, "was written to while it was read; load it again when nothing writes to it");
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = index_->metadata.find(key);
  return found == index_->metadata.end() ? nullptr : &metadata_[found->second].second;
}

namespace {

Error wrong(const std::string& path, std::string_view key, const char* expected, bool missing) {
  return file_error(path, "metadata \"" + std::string(key) + "\" " + (missing ? "is missing" : "has another type") +
                              ", expected " + expected);
}

std::optional<std::uint64_t> as_unsigned(const GgufValue& value) {
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return *number;
  const auto* number = std::get_if<std::int64_t>(&value);
  if (number != nullptr && *number >= 0) return static_cast<std::uint64_t>(*number);
  return std::nullopt;
}

}  // namespace

Result<std::uint64_t> GgufFile::get_uint(std::string_view key) const {
  const GgufValue* value = find(key);
  const auto number = value == nullptr ? std::nullopt : as_unsigned(*value);
  if (!number) return wrong(path_, key, "an integer of at least 0", value == nullptr);
  return *number;
}

Result<std::uint64_t> GgufFile::get_uint_or(std::string_view key, std::uint64_t fallback) const {
  return find(key) == nullptr ? Result<std::uint64_t>(fallback) : get_uint(key);
}

Result<double> GgufFile::get_float_or(std::string_view key, double fallback) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* number = std::get_if<double>(value)) return *number;
  if (const auto number = as_unsigned(*value)) return static_cast<double>(*number);
  return wrong(path_, key, "a number", false);
}

Result<bool> GgufFile::get_bool_or(std::string_view key, bool fallback) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  return wrong(path_, key, "a boolean", false);
}

Result<std::string> GgufFile::get_string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value != nullptr) {
    if (const auto* text = std::get_if<std::string>(value)) return *text;
  }
  return wrong(path_, key, "a string", value == nullptr);
}

const std::vector<std::string>* GgufFile::find_strings(std::string_view key) const {
  const GgufValue* value = find(key);
  return value == nullptr ? nullptr : std::get_if<std::vector<std::string>>(value);
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = index_->tensors.find(name);
  return found == index_->tensors.end() ? nullptr : &tensors_[found->second];
}

Result<kernels::HostTensor> GgufFile::tensor(std::string_view name, std::span<const std::uint64_t> dims,
                                             TensorRoom& room) const {
  const auto shape = [](std::span<const std::uint64_t> sizes) {
    std::string text;
    for (std::uint64_t size : sizes) text += (text.empty() ? "" : " x ") + std::to_string(size);
    return "[" + text + "]";
  };
  const GgufTensor* found = find_tensor(name);
  if (found == nullptr) {
    return file_error(path_, "tensor \"" + std::string(name) + "\" is missing, expected shape " + shape(dims));
  }
  if (!std::ranges::equal(found->dims, dims)) {
    return file_error(
        path_, "tensor \"" + std::string(name) + "\" has shape " + shape(found->dims) + ", expected " + shape(dims));
  }
  const std::span<std::byte> bytes = room.take(found->bytes);
  if (auto whole = read(found->offset, bytes); !whole) return whole.error();
  return kernels::HostTensor{bytes.data(), found->type, dims.size() > 1 ? dims[1] : 1, dims[0]};
}

Result<std::array<std::uint8_t, 32>> GgufFile::digest() const {
  constexpr std::size_t kPiece = std::size_t{1} << 20U;
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (hash == nullptr || EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
  TensorRoom room;
  for (std::uint64_t offset = 0; offset < size_; offset += kPiece) {
    const std::span<std::byte> piece = room.take(std::min<std::uint64_t>(kPiece, size_ - offset));
    if (auto whole = read(offset, piece); !whole) return whole.error();
    EVP_DigestUpdate(hash.get(), piece.data(), piece.size());
  }
  std::array<std::uint8_t, 32> value{};
  EVP_DigestFinal_ex(hash.get(), value.data(), nullptr);
  return value;
}

}  // namespace headwater::model
