#include "model/gguf.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "model/gguf_parse.h"

namespace headwater::model {
namespace {

Error file_error(const std::string& path, const std::string& message) {
  return {ErrorCode::invalid_model, path + ": " + message, ""};
}

}  // namespace

struct GgufFile::Digest {
  std::once_flag once;
  std::array<std::uint8_t, 32> value{};
};

struct GgufFile::Index {
  std::unordered_map<std::string_view, std::size_t> metadata, tensors;
};

void GgufFile::parse() {
  GgufHeader header = parse_gguf({map_, size_});
  version_ = header.version;
  metadata_ = std::move(header.metadata);
  tensors_ = std::move(header.tensors);
  for (std::size_t i = 0; i < metadata_.size(); ++i) index_->metadata.emplace(metadata_[i].first, i);
  for (std::size_t i = 0; i < tensors_.size(); ++i) index_->tensors.emplace(tensors_[i].name, i);
}

GgufFile::GgufFile() : index_(std::make_unique<Index>()), digest_(std::make_unique<Digest>()) {}

Result<std::shared_ptr<const GgufFile>> GgufFile::open(const std::string& path) {
  // Without O_NONBLOCK, opening a pipe would wait for somebody to write to it.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return file_error(path, std::string("cannot be opened: ") + std::strerror(errno));
  struct stat info {};
  const bool known = fstat(descriptor, &info) == 0;
  const bool regular = known && S_ISREG(info.st_mode);
  void* map = MAP_FAILED;
  if (regular && info.st_size > 0) {
    map = mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0);
  }
  ::close(descriptor);
  if (!regular) return file_error(path, "is not a regular file, expected a GGUF model");
  if (info.st_size == 0) return file_error(path, "offset 0: the file is empty, expected a GGUF model");
  if (map == MAP_FAILED) return file_error(path, std::string("cannot be mapped: ") + std::strerror(errno));

  std::shared_ptr<GgufFile> file(new GgufFile);
  file->path_ = path;
  file->map_ = static_cast<const std::byte*>(map);
  file->size_ = static_cast<std::uint64_t>(info.st_size);
  try {
    file->parse();
  } catch (const MalformedGguf& malformed) {
    return file_error(path, "offset " + std::to_string(malformed.offset) + ": " + malformed.message);
  }
  return std::shared_ptr<const GgufFile>(std::move(file));
}

GgufFile::~GgufFile() {
  if (map_ != nullptr) munmap(const_cast<std::byte*>(map_), size_);
}

void GgufFile::release_pages() const { madvise(const_cast<std::byte*>(map_), size_, MADV_DONTNEED); }

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

std::span<const std::byte> GgufFile::data(const GgufTensor& tensor) const {
  return {map_ + tensor.offset, tensor.bytes};
}

Result<kernels::HostTensor> GgufFile::tensor(std::string_view name, std::span<const std::uint64_t> dims) const {
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
  return kernels::HostTensor{map_ + found->offset, found->type, dims.size() > 1 ? dims[1] : 1, dims[0]};
}

const std::array<std::uint8_t, 32>& GgufFile::digest() const {
  std::call_once(digest_->once, [this] {
    unsigned size = 0;
    EVP_Digest(map_, size_, digest_->value.data(), &size, EVP_sha256(), nullptr);
  });
  return digest_->value;
}

}  // namespace headwater::model
