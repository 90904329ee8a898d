#include "model/gguf_split.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "model/gguf_part.h"
#include "model/gguf_value.h"
#include "model/utf8.h"

namespace headwater::model {
namespace {

constexpr const char* kIndex = "split.no";
constexpr const char* kCount = "split.count";
constexpr const char* kTensors = "split.tensors.count";

/// Each is an open file.
constexpr std::uint64_t kMostParts = 1024;
constexpr std::uint64_t kMostTensors = 1U << 16U;

constexpr std::size_t kDigits = 5;
constexpr std::string_view kOf = "-of-";
constexpr std::string_view kEnding = ".gguf";

std::string metadata(const char* key) { return "metadata \"" + std::string(key) + "\" "; }

/// The number that the five digits are.
std::optional<std::uint32_t> five_digits(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.size() != kDigits || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// A name without its ending.
std::optional<SplitName> parse_stem(std::string_view name) {
  constexpr std::size_t kTail = 1 + kDigits + kOf.size() + kDigits;  // -00001-of-00003
  if (name.size() <= kTail) return std::nullopt;
  const std::string_view tail = name.substr(name.size() - kTail);
  const auto index = five_digits(tail.substr(1, kDigits));
  const auto count = five_digits(tail.substr(kTail - kDigits));
  if (tail[0] != '-' || tail.substr(1 + kDigits, kOf.size()) != kOf || !index || !count) return std::nullopt;
  if (*index == 0 || *index > *count) return std::nullopt;
  return SplitName{std::string(name.substr(0, name.size() - kTail)), *index - 1, *count};
}

const GgufValue* find(const GgufHeader& header, std::string_view key) {
  const auto entry = std::ranges::find(header.metadata, key, [](const auto& e) { return std::string_view(e.first); });
  return entry == header.metadata.end() ? nullptr : &entry->second;
}

/// Nothing: there is no such key.
Result<std::optional<std::uint64_t>> number(const GgufHeader& header, const char* key, std::uint64_t most,
                                            const std::string& path) {
  const GgufValue* value = find(header, key);
  if (value == nullptr) return std::optional<std::uint64_t>();
  std::optional<std::uint64_t> number;
  if (const auto* plain = std::get_if<std::uint64_t>(value)) number = *plain;
  if (const auto* given = std::get_if<std::int64_t>(value); given != nullptr && *given >= 0) {
    number = static_cast<std::uint64_t>(*given);
  }
  if (number && *number <= most) return number;
  return gguf_error(path,
                    metadata(key) + found_value(value) + ", expected an integer from 0 to " + std::to_string(most));
}

/// Arrays may differ in their elements alone.
std::string what_first_says(const GgufValue& other, const GgufValue& first) {
  const std::string words = describe_value(first);
  return words == describe_value(other) ? "the same" : words;
}

std::string part_of(std::uint64_t index, std::uint64_t count) {
  return "part " + std::to_string(index + 1) + " of " + std::to_string(count);
}

}  // namespace

std::string SplitName::path(std::uint32_t of_index) const {
  char tail[32];
  std::snprintf(tail, sizeof tail, "-%05u-of-%05u", of_index + 1, count);
  return stem + tail + std::string(kEnding);
}

std::optional<SplitName> parse_split_name(const std::string& path) {
  if (!path.ends_with(kEnding)) return std::nullopt;
  return parse_stem(std::string_view(path).substr(0, path.size() - kEnding.size()));
}

std::string without_part(const std::string& name) {
  const auto split = parse_stem(name);
  return split ? split->stem : name;
}

Result<Split> read_split(const GgufHeader& header, const std::string& path) {
  const auto count = number(header, kCount, kMostParts, path);
  if (!count) return count.error();
  Split split;
  if (count->value_or(0) <= 1) return split;
  split.count = **count;
  const auto index = number(header, kIndex, split.count - 1, path);
  if (!index) return index.error();
  if (!*index) return gguf_error(path, metadata(kIndex) + "is missing, expected which of the parts this is");
  split.index = **index;
  const auto n_tensors = number(header, kTensors, kMostTensors, path);
  if (!n_tensors) return n_tensors.error();
  split.n_tensors = *n_tensors;
  return split;
}

Result<SplitMerger> SplitMerger::begin(GgufHeader first, const std::string& path, std::uint32_t count) {
  SplitMerger merger;
  merger.first_path_ = path;
  merger.count_ = count;
  merger.all_.version = first.version;
  const auto split = read_split(first, path);
  if (!split) return split.error();
  merger.n_tensors_ = split->n_tensors;
  if (auto added = merger.add(std::move(first), path); !added) return added.error();
  return merger;
}

Result<void> SplitMerger::add(GgufHeader part, const std::string& path) {
  const auto split = read_split(part, path);
  if (!split) return split.error();
  if (split->count != count_) {
    return gguf_error(path, metadata(kCount) + found_value(find(part, kCount)) + ", expected " +
                                std::to_string(count_) + " as in the names of the parts");
  }
  if (split->index != added_) {
    return gguf_error(path, metadata(kIndex) + "says that this is " + part_of(split->index, count_) + ", expected " +
                                part_of(added_, count_));
  }
  if (split->n_tensors != n_tensors_) {
    const std::string of_first = n_tensors_ ? std::to_string(*n_tensors_) : "none";
    return gguf_error(path, metadata(kTensors) + found_value(find(part, kTensors)) + ", expected " + of_first +
                                " as in " + first_path_ + ": parts of one model");
  }
  if (added_ == 0) {
    all_.metadata = std::move(part.metadata);
  } else {
    for (const auto& [key, value] : part.metadata) {
      const GgufValue* of_first = find(all_, key);
      if (key == kIndex || of_first == nullptr || *of_first == value) continue;
      return gguf_error(path, "metadata \"" + printable(key) + "\" is " + describe_value(value) + ", expected " +
                                  what_first_says(value, *of_first) + " as in " + first_path_ + ": parts of one model");
    }
  }
  return take_tensors(std::move(part.tensors), path);
}

Result<void> SplitMerger::take_tensors(std::vector<GgufTensor> tensors, const std::string& path) {
  for (GgufTensor& tensor : tensors) {
    const auto [before, is_new] = where_.emplace(tensor.name, path);
    if (!is_new) {
      return gguf_error(path, "tensor \"" + printable(tensor.name) + "\" is there, and in " + before->second +
                                  " too, expected it once");
    }
    tensor.part = added_;
    all_.tensors.push_back(std::move(tensor));
  }
  ++added_;
  if (where_.size() <= kMostTensors) return {};
  return gguf_error(path, "the parts have more than " + std::to_string(kMostTensors) + " tensors, expected fewer");
}

Result<GgufHeader> SplitMerger::finish() && {
  if (added_ != count_) return gguf_error(first_path_, "not all parts were read");
  if (n_tensors_ && *n_tensors_ != all_.tensors.size()) {
    return gguf_error(first_path_, metadata(kTensors) + "is " + std::to_string(*n_tensors_) + ", and the " +
                                       std::to_string(count_) + " parts have " + std::to_string(all_.tensors.size()) +
                                       ", expected the same");
  }
  return std::move(all_);
}

}  // namespace headwater::model
