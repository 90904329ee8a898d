#include "model/gguf.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <unordered_map>

#include "model/gguf_parse.h"
#include "model/gguf_part.h"
#include "model/gguf_split.h"
#include "model/gguf_value.h"
#include "model/sha256.h"
#include "model/utf8.h"

namespace headwater::model {

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

GgufFile::GgufFile() : index_(std::make_unique<Index>()) {}
GgufFile::~GgufFile() = default;

namespace {

/// What the names of the parts are, if `path` is one of them: by its own name, or by that of what a link leads to.
std::optional<SplitName> split_name(const std::string& path, const Split& split) {
  std::error_code failed;
  const std::filesystem::path target = std::filesystem::canonical(path, failed);
  for (const std::string& name : {path, target.string()}) {
    auto parts = parse_split_name(name);
    if (parts && parts->index == split.index && parts->count == split.count) return parts;
  }
  return std::nullopt;
}

}  // namespace

Result<void> GgufFile::open_split(const SplitName& name, const std::string& asked) {
  std::optional<SplitMerger> merger;
  for (std::uint32_t i = 0; i < name.count; ++i) {
    auto part = GgufPart::open(name.path(i));
    if (!part) {
      return Error{part.error().code,
                   part.error().message + ", expected part " + std::to_string(i + 1) + " of " +
                       std::to_string(name.count) + " of the model that " + asked + " is a part of",
                   ""};
    }
    auto header = (*part)->header();
    if (!header) return header.error();
    if (i == 0) {
      auto begun = SplitMerger::begin(std::move(*header), (*part)->path(), name.count);
      if (!begun) return begun.error();
      merger.emplace(std::move(*begun));
    } else if (auto added = merger->add(std::move(*header), (*part)->path()); !added) {
      return added;
    }
    parts_.push_back(std::move(*part));
  }
  auto all = std::move(*merger).finish();
  if (!all) return all.error();
  take(std::move(*all));
  return {};
}

Result<void> GgufFile::open_any(const std::string& path) {
  auto named = GgufPart::open(path);
  if (!named) return named.error();
  auto header = (*named)->header();
  if (!header) return header.error();
  const auto split = read_split(*header, path);
  if (!split) return split.error();
  if (split->count > 1) {
    const auto name = split_name(path, *split);
    if (name) return open_split(*name, path);
    const SplitName expected{"NAME", 0, static_cast<std::uint32_t>(split->count)};
    return gguf_error(path, "this is part " + std::to_string(split->index + 1) + " of " + std::to_string(split->count) +
                                " of a model, expected to be named " +
                                expected.path(static_cast<std::uint32_t>(split->index)) +
                                " and to have the others beside it");
  }
  parts_.push_back(std::move(*named));
  take(std::move(*header));
  return {};
}

void GgufFile::take(GgufHeader header) {
  path_ = parts_[0]->path();
  version_ = header.version;
  metadata_ = std::move(header.metadata);
  tensors_ = std::move(header.tensors);
  for (std::size_t i = 0; i < metadata_.size(); ++i) index_->metadata.emplace(metadata_[i].first, i);
  for (std::size_t i = 0; i < tensors_.size(); ++i) index_->tensors.emplace(tensors_[i].name, i);
}

Result<std::shared_ptr<const GgufFile>> GgufFile::open(const std::string& path) {
  std::shared_ptr<GgufFile> file(new GgufFile);
  if (auto opened = file->open_any(path); !opened) return opened.error();
  return std::shared_ptr<const GgufFile>(std::move(file));
}

std::uint64_t GgufFile::file_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& part : parts_) sum += part->bytes();
  return sum;
}

std::vector<std::pair<std::string, std::uint64_t>> GgufFile::parts() const {
  std::vector<std::pair<std::string, std::uint64_t>> parts;
  for (const auto& part : parts_) parts.emplace_back(part->path(), part->bytes());
  return parts;
}

Result<void> GgufFile::unchanged() const {
  for (const auto& part : parts_) {
    if (auto same = part->unchanged(); !same) return same;
  }
  return {};
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = index_->metadata.find(key);
  return found == index_->metadata.end() ? nullptr : &metadata_[found->second].second;
}

namespace {

Error wrong(const std::string& path, std::string_view key, const GgufValue* found, const char* expected) {
  return gguf_error(path, "metadata \"" + printable(key) + "\" " + found_value(found) + ", expected " + expected);
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
  if (!number) return wrong(path_, key, value, "an integer of at least 0");
  return *number;
}

Result<std::uint64_t> GgufFile::get_uint_or(std::string_view key, std::uint64_t fallback) const {
  return find(key) == nullptr ? Result<std::uint64_t>(fallback) : get_uint(key);
}

Result<double> GgufFile::get_float_or(std::string_view key, double fallback) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* number = std::get_if<double>(value)) return *number;
  if (const auto* number = std::get_if<std::uint64_t>(value)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<std::int64_t>(value)) return static_cast<double>(*number);
  return wrong(path_, key, value, "a number");
}

Result<bool> GgufFile::get_bool_or(std::string_view key, bool fallback) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  return wrong(path_, key, value, "a boolean");
}

Result<std::string> GgufFile::get_string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value != nullptr) {
    if (const auto* text = std::get_if<std::string>(value)) return *text;
  }
  return wrong(path_, key, value, "a string");
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
    return gguf_error(path_, "tensor \"" + std::string(name) + "\" is missing, expected shape " + shape(dims));
  }
  if (!std::ranges::equal(found->dims, dims)) {
    return gguf_error(
        path_, "tensor \"" + std::string(name) + "\" has shape " + shape(found->dims) + ", expected " + shape(dims));
  }
  const std::span<std::byte> bytes = room.take(found->bytes);
  if (auto whole = parts_[found->part]->read(found->offset, bytes); !whole) return whole.error();
  return kernels::HostTensor{bytes.data(), found->type, dims.size() > 1 ? dims[1] : 1, dims[0]};
}

Result<std::array<std::uint8_t, 32>> GgufFile::digest(const std::atomic<bool>* stopped) const {
  const std::lock_guard lock(digest_mutex_);
  if (digest_) return *digest_;
  auto digest = compute_digest(stopped);
  if (digest) digest_ = *digest;
  return digest;
}

Result<std::array<std::uint8_t, 32>> GgufFile::compute_digest(const std::atomic<bool>* stopped) const {
  constexpr std::size_t kPiece = std::size_t{1} << 20U;
  Sha256 sha256;
  TensorRoom room;
  for (const auto& part : parts_) {
    const std::uint64_t size = part->bytes();
    if (parts_.size() > 1) sha256.add(size);
    for (std::uint64_t offset = 0; offset < size; offset += kPiece) {
      if (stopped != nullptr && *stopped) return gguf_error(part->path(), "its digest is no longer wanted");
      const std::span<std::byte> piece = room.take(std::min<std::uint64_t>(kPiece, size - offset));
      if (auto whole = part->read(offset, piece); !whole) return whole.error();
      sha256.add(piece);
    }
  }
  return sha256.finish();
}

}  // namespace headwater::model
