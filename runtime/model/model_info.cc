#include "model/model_info.h"

#include <cstdio>
#include <iterator>
#include <map>
#include <optional>

#include "model/chat_template.h"
#include "model/info_lines.h"
#include "model/utf8.h"

namespace headwater::model {
namespace {

constexpr const char* kNotGiven = "not given";

std::optional<std::string> text_of(const GgufFile& file, const std::string& key) {
  const auto value = file.get_string(key);
  return value ? std::optional(printable(*value)) : std::nullopt;
}

std::optional<std::uint64_t> number_of(const GgufFile& file, const std::string& key) {
  const auto value = file.get_uint(key);
  return value ? std::optional(*value) : std::nullopt;
}

std::string counted(std::optional<std::uint64_t> number, const std::string& unit) {
  return number ? with_commas(*number) + unit : kNotGiven;
}

std::uint64_t values_in(const GgufTensor& tensor) {
  return tensor.bytes / kernels::block_bytes(tensor.type) * kernels::block_values(tensor.type);
}

std::string heads(const GgufFile& file, const std::string& prefix) {
  const auto n_heads = number_of(file, prefix + "attention.head_count");
  const auto n_kv_heads = number_of(file, prefix + "attention.head_count_kv");
  const auto embedding = number_of(file, prefix + "embedding_length");
  auto width = number_of(file, prefix + "attention.key_length");
  if (!width && n_heads && embedding && *n_heads > 0) width = *embedding / *n_heads;
  std::string text = counted(n_heads, "");
  if (n_kv_heads) text += ", " + with_commas(*n_kv_heads) + " for keys and values";
  if (width) text += ", " + with_commas(*width) + " wide";
  return text;
}

std::string tokenizer(const GgufFile& file) {
  const auto model = text_of(file, "tokenizer.ggml.model");
  if (!model) return kNotGiven;
  std::string text = *model;
  if (const auto pre = text_of(file, "tokenizer.ggml.pre")) text += ", pre-tokenizer " + *pre;
  if (const auto* tokens = file.find_strings("tokenizer.ggml.tokens")) {
    text += ", " + with_commas(tokens->size()) + " tokens";
  }
  if (const auto* merges = file.find_strings("tokenizer.ggml.merges")) {
    text += ", " + with_commas(merges->size()) + " merges";
  }
  return text;
}

/// The template's first line, and why no chat is served with it, if so.
std::string chat_template(const GgufFile& file) {
  const auto jinja = file.get_string("tokenizer.chat_template");
  if (!jinja) return kNotGiven;
  const auto known = ChatTemplate::of_file(file);
  const std::string first_line = jinja->substr(0, jinja->find('\n'));
  return known ? printable(first_line) : "not usable: " + known.error().message;
}

void add_tensors(const GgufFile& file, InfoLines& lines) {
  struct Sum {
    std::uint64_t tensors = 0, values = 0, bytes = 0;
  };
  std::map<kernels::DType, Sum> by_type;
  Sum all;
  for (const GgufTensor& tensor : file.tensors()) {
    for (Sum* sum : {&by_type[tensor.type], &all}) {
      sum->tensors += 1;
      sum->values += values_in(tensor);
      sum->bytes += tensor.bytes;
    }
  }
  const auto summary = [](const Sum& sum) {
    return with_commas(sum.tensors) + " with " + with_commas(sum.values) + " values, " + readable_bytes(sum.bytes);
  };
  lines.add("tensors", summary(all));
  for (const auto& [type, sum] : by_type) lines.add("  " + std::string(kernels::name(type)), summary(sum));
}

}  // namespace

std::string with_commas(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t i = digits.size(); i > 3;) digits.insert(i -= 3, 1, ',');
  return digits;
}

std::string readable_bytes(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return std::to_string(bytes) + " bytes";
  double size = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (size >= 1024 && unit + 1 < std::size(kUnits)) {
    size /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %s", size, kUnits[unit]);
  return text;
}

std::string describe_model(const GgufFile& file) {
  const auto architecture = file.get_string("general.architecture");
  const std::string prefix = architecture ? *architecture + "." : "";  // of the architecture's own keys
  std::uint64_t parameters = 0;
  for (const GgufTensor& tensor : file.tensors()) parameters += values_in(tensor);

  InfoLines lines;
  lines.add("file", printable(file.path(), 4096));
  lines.add("format", "GGUF version " + std::to_string(file.version()) + ", " + readable_bytes(file.file_bytes()));
  if (const auto parts = file.parts(); parts.size() > 1) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::string label = "  part " + std::to_string(i + 1);
      lines.add(label, printable(parts[i].first, 4096) + ", " + readable_bytes(parts[i].second));
    }
  }
  lines.add("name", text_of(file, "general.name").value_or(kNotGiven));
  lines.add("architecture", architecture ? printable(*architecture) : kNotGiven);
  lines.add("parameters", with_commas(parameters));
  lines.add("context", counted(number_of(file, prefix + "context_length"), " tokens"));
  lines.add("layers", counted(number_of(file, prefix + "block_count"), ""));
  lines.add("embedding", counted(number_of(file, prefix + "embedding_length"), ""));
  lines.add("feed-forward", counted(number_of(file, prefix + "feed_forward_length"), ""));
  lines.add("heads", heads(file, prefix));
  lines.add("tokenizer", tokenizer(file));
  lines.add("chat template", chat_template(file));
  add_tensors(file, lines);
  return std::move(lines).text();
}

}  // namespace headwater::model
