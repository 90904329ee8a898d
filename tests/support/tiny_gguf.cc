#include "tests/support/tiny_gguf.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace headwater::test {
namespace {

using kernels::DType;

constexpr std::uint64_t kAlignment = 32;

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_string(std::string& out, std::string_view text) {
  put<std::uint64_t>(out, text.size());
  out += text;
}

std::uint16_t to_half(float value) {  // round to nearest; no subnormals, which no test needs
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16U) & 0x8000U;
  const std::int32_t exponent = static_cast<std::int32_t>((bits >> 23U) & 0xFFU) - 112;
  if (exponent <= 0) return static_cast<std::uint16_t>(sign);
  const std::uint32_t rounded =
      (static_cast<std::uint32_t>(exponent) << 10U | (bits >> 13U & 0x3FFU)) + (bits >> 12U & 1U);
  return static_cast<std::uint16_t>(sign | std::min(rounded, 0x7BFFU));
}

void put_block(std::string& out, DType type, std::span<const float> x) {
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  const float most = std::max(std::abs(*low), std::abs(*high));
  if (type == DType::q8_0) {
    const float scale = most / 127;
    put(out, to_half(scale));
    for (float v : x) put(out, static_cast<std::int8_t>(scale == 0 ? 0 : std::lround(v / scale)));
    return;
  }
  const bool offset = type == DType::q4_1;
  const float scale = offset ? (*high - *low) / 15 : most / 7;
  put(out, to_half(scale));
  if (offset) put(out, to_half(*low));
  const auto quantum = [&](float v) {
    const float q = scale == 0 ? 0 : (offset ? (v - *low) / scale : v / scale + 8);
    return static_cast<unsigned>(std::clamp(std::lround(q), 0L, 15L));
  };
  for (std::size_t i = 0; i < 16; ++i) {
    put(out, static_cast<std::uint8_t>(quantum(x[i]) | quantum(x[i + 16]) << 4U));
  }
}

}  // namespace

void GgufWriter::key(std::string_view key, std::uint32_t type) {
  put_string(metadata_, key);
  put(metadata_, type);
  ++n_metadata_;
}
GgufWriter& GgufWriter::add_u32(std::string_view name, std::uint32_t value) {
  key(name, 4);
  put(metadata_, value);
  return *this;
}
GgufWriter& GgufWriter::add_i32(std::string_view name, std::int32_t value) {
  key(name, 5);
  put(metadata_, value);
  return *this;
}
GgufWriter& GgufWriter::add_f32(std::string_view name, float value) {
  key(name, 6);
  put(metadata_, value);
  return *this;
}
GgufWriter& GgufWriter::add_bool(std::string_view name, bool value) {
  key(name, 7);
  put(metadata_, static_cast<std::uint8_t>(value));
  return *this;
}
GgufWriter& GgufWriter::add_string(std::string_view name, std::string_view value) {
  key(name, 8);
  put_string(metadata_, value);
  return *this;
}
GgufWriter& GgufWriter::add_strings(std::string_view name, const std::vector<std::string>& values) {
  key(name, 9);
  put<std::uint32_t>(metadata_, 8);
  put<std::uint64_t>(metadata_, values.size());
  for (const auto& value : values) put_string(metadata_, value);
  return *this;
}
GgufWriter& GgufWriter::add_i32s(std::string_view name, const std::vector<std::int32_t>& values) {
  key(name, 9);
  put<std::uint32_t>(metadata_, 5);
  put<std::uint64_t>(metadata_, values.size());
  for (auto value : values) put(metadata_, value);
  return *this;
}

GgufWriter& GgufWriter::add_f32s(std::string_view name, const std::vector<float>& values) {
  key(name, 9);
  put<std::uint32_t>(metadata_, 6);
  put<std::uint64_t>(metadata_, values.size());
  for (auto value : values) put(metadata_, value);
  return *this;
}

GgufWriter& GgufWriter::add_tensor(std::string_view name, std::vector<std::uint64_t> dims, DType type,
                                   std::span<const float> values) {
  constexpr std::pair<DType, std::uint32_t> kCodes[] = {{DType::f32, 0},  {DType::f16, 1},  {DType::q4_0, 2},
                                                        {DType::q4_1, 3}, {DType::q8_0, 8}, {DType::bf16, 30}};
  for (const auto& [known, code] : kCodes) {
    if (known == type) add_raw(name, dims, code, {});
  }
  for (std::size_t i = 0; i < values.size();) {
    if (type == DType::f32) {
      put(data_, values[i++]);
    } else if (type == DType::f16) {
      put(data_, to_half(values[i++]));
    } else if (type == DType::bf16) {
      put(data_, static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(values[i++]) >> 16U));
    } else {
      put_block(data_, type, values.subspan(i, 32));
      i += 32;
    }
  }
  return *this;
}

GgufWriter& GgufWriter::add_raw(std::string_view name, std::vector<std::uint64_t> dims, std::uint32_t type,
                                std::string_view bytes) {
  put_string(tensor_infos_, name);
  put(tensor_infos_, static_cast<std::uint32_t>(dims.size()));
  for (auto dim : dims) put(tensor_infos_, dim);
  put(tensor_infos_, type);
  data_.resize((data_.size() + kAlignment - 1) / kAlignment * kAlignment);
  put<std::uint64_t>(tensor_infos_, data_.size());
  data_ += bytes;
  ++n_tensors_;
  return *this;
}

std::string GgufWriter::bytes() const {
  std::string out = "GGUF";
  put(out, version_);
  put(out, n_tensors_);
  put(out, n_metadata_);
  out += metadata_ + tensor_infos_;
  out.resize((out.size() + kAlignment - 1) / kAlignment * kAlignment);
  return out + data_;
}

void GgufWriter::write(const std::string& path) const {
  std::ofstream file(path, std::ios::binary);
  file << bytes();
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

std::vector<std::string> tiny_tokens() {
  // GPT-2's byte alphabet: printable bytes stand for themselves, the others for U+0100 onwards. Source: the
  // function bytes_to_unicode of openai/gpt-2.
  std::vector<std::string> tokens;
  std::vector<unsigned> others;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    if (!printable) {
      others.push_back(byte);
    } else if (byte < 128) {
      tokens.emplace_back(1, static_cast<char>(byte));
    } else {
      tokens.push_back({static_cast<char>(0xC0U | byte >> 6U), static_cast<char>(0x80U | (byte & 0x3FU))});
    }
  }
  for (unsigned i = 0; i < others.size(); ++i) {
    const unsigned code = 256 + i;
    tokens.push_back({static_cast<char>(0xC0U | code >> 6U), static_cast<char>(0x80U | (code & 0x3FU))});
  }
  for (const char* merged : {"th", "the", "he", "\xC4\xA0t", "\xC4\xA0the", "in", "er"}) tokens.emplace_back(merged);
  for (const char* control : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) tokens.emplace_back(control);
  return tokens;
}

void add_tiny_tokenizer(GgufWriter& writer, const std::string& chat_template) {
  const std::string chatml =
      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + "
      "'<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
      "{% endif %}";
  const auto tokens = tiny_tokens();
  std::vector<std::int32_t> types(tokens.size(), 1);
  std::fill(types.end() - 3, types.end(), 3);
  const auto last = static_cast<std::uint32_t>(tokens.size() - 1);
  writer.add_string("tokenizer.ggml.model", "gpt2")
      .add_string("tokenizer.ggml.pre", "smollm")
      .add_strings("tokenizer.ggml.tokens", tokens)
      .add_i32s("tokenizer.ggml.token_type", types)
      .add_strings("tokenizer.ggml.merges", {"t h", "th e", "h e", "\xC4\xA0 t", "\xC4\xA0t he", "i n", "e r"})
      .add_u32("tokenizer.ggml.bos_token_id", last - 1)
      .add_u32("tokenizer.ggml.eos_token_id", last)
      .add_string("tokenizer.chat_template", chat_template.empty() ? chatml : chat_template);
}

namespace {

/// Random tensors, in the order in which they are asked for, dealt out to the parts in turn.
class TinyTensors {
 public:
  TinyTensors(std::vector<GgufWriter>& parts, const TinyOptions& options)
      : parts_(parts), options_(options), state_(options.seed) {}

  void matrix(const std::string& name, std::uint64_t cols, std::uint64_t rows) {
    next().add_tensor(name, {cols, rows}, options_.type, random(cols * rows, 2.0F / std::sqrt(float(cols)), 0));
  }
  void norm(const std::string& name, std::uint64_t n) { vector(name, n, 1); }
  void vector(const std::string& name, std::uint64_t n, float middle) {
    next().add_tensor(name, {n}, DType::f32, random(n, 0.1F, middle));
  }

  std::uint32_t count() const { return n_; }

 private:
  GgufWriter& next() { return parts_[n_++ % parts_.size()]; }
  std::vector<float> random(std::uint64_t n, float scale, float offset) {
    std::vector<float> values(n);
    for (float& value : values) {
      state_ = state_ * 1664525U + 1013904223U;
      value = offset + scale * (static_cast<float>(state_ >> 8U) / 8388608.0F - 1.0F);
    }
    return values;
  }

  std::vector<GgufWriter>& parts_;
  const TinyOptions& options_;
  std::uint32_t state_;
  std::uint32_t n_ = 0;
};

/// What an architecture has of its own in the metadata.
void add_own_metadata(GgufWriter& writer, const TinyOptions& options) {
  const std::string& architecture = options.architecture;
  const std::string prefix = architecture + ".";
  if (architecture.starts_with("gemma") || architecture == "phi3")
    writer.add_u32(prefix + "attention.sliding_window", options.window);
  if (architecture == "gemma3") writer.add_u32(prefix + "attention.sliding_window_pattern", 2);
  if (architecture == "granite") {
    writer.add_f32(prefix + "embedding_scale", 2).add_f32(prefix + "residual_scale", 0.5F);
    writer.add_f32(prefix + "attention.scale", 0.2F).add_f32(prefix + "logit_scale", 2);
  }
}

void add_layer(TinyTensors& add, const std::string& layer, const TinyOptions& options) {
  const std::uint64_t embedding = std::uint64_t{options.heads} * options.head_dim;
  const std::uint64_t kv = std::uint64_t{options.kv_heads} * options.head_dim;
  const std::string& architecture = options.architecture;
  add.norm(layer + "attn_norm.weight", embedding);
  if (architecture == "phi3") {
    add.matrix(layer + "attn_qkv.weight", embedding, embedding + 2 * kv);
  } else {
    add.matrix(layer + "attn_q.weight", embedding, embedding);
    add.matrix(layer + "attn_k.weight", embedding, kv);
    add.matrix(layer + "attn_v.weight", embedding, kv);
  }
  add.matrix(layer + "attn_output.weight", embedding, embedding);
  add.norm(layer + "ffn_norm.weight", embedding);
  if (architecture == "phi3") {
    add.matrix(layer + "ffn_up.weight", embedding, 2 * options.ffn);
  } else {
    add.matrix(layer + "ffn_gate.weight", embedding, options.ffn);
    add.matrix(layer + "ffn_up.weight", embedding, options.ffn);
  }
  add.matrix(layer + "ffn_down.weight", options.ffn, embedding);
  if (architecture == "qwen2") {
    add.vector(layer + "attn_q.bias", embedding, 0);
    add.vector(layer + "attn_k.bias", kv, 0);
    add.vector(layer + "attn_v.bias", kv, 0);
  }
  if (architecture == "qwen3" || architecture == "gemma3") {
    add.norm(layer + "attn_q_norm.weight", options.head_dim);
    add.norm(layer + "attn_k_norm.weight", options.head_dim);
  }
  if (architecture.starts_with("gemma")) {
    add.norm(layer + "post_attention_norm.weight", embedding);
    add.norm(layer + "post_ffw_norm.weight", embedding);
  }
}

}  // namespace

GgufWriter tiny_llama(const TinyOptions& options) { return tiny_llama_parts(options, 1)[0]; }

std::vector<GgufWriter> tiny_llama_parts(const TinyOptions& options, std::uint32_t n) {
  const std::uint64_t embedding = std::uint64_t{options.heads} * options.head_dim;
  const std::uint64_t vocab = tiny_tokens().size();
  const std::string prefix = options.architecture + ".";
  std::vector<GgufWriter> parts(n);
  GgufWriter& writer = parts[0];
  writer.add_string("general.architecture", options.architecture)
      .add_string("general.name", "tiny")
      .add_u32(prefix + "block_count", options.layers)
      .add_u32(prefix + "context_length", options.context)
      .add_u32(prefix + "embedding_length", static_cast<std::uint32_t>(embedding))
      .add_u32(prefix + "feed_forward_length", options.ffn)
      .add_u32(prefix + "attention.head_count", options.heads)
      .add_u32(prefix + "attention.head_count_kv", options.kv_heads)
      .add_f32(prefix + "attention.layer_norm_rms_epsilon", 1e-5F)
      .add_u32(prefix + "rope.dimension_count", options.head_dim)
      .add_f32(prefix + "rope.freq_base", 10000.0F);
  add_own_metadata(writer, options);
  add_tiny_tokenizer(writer, options.chat_template);
  TinyTensors add(parts, options);
  add.matrix("token_embd.weight", embedding, vocab);
  for (std::uint32_t i = 0; i < options.layers; ++i) add_layer(add, "blk." + std::to_string(i) + ".", options);
  add.norm("output_norm.weight", embedding);
  if (!options.tied) add.matrix("output.weight", embedding, vocab);
  for (std::uint32_t i = 0; n > 1 && i < n; ++i) {
    parts[i].add_u32("split.no", i).add_u32("split.count", n);
    parts[i].add_i32("split.tensors.count", static_cast<std::int32_t>(add.count()));
  }
  return parts;
}

std::string write_parts(const std::string& folder, const std::string& stem, const std::vector<GgufWriter>& parts) {
  std::string first;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    char tail[64];
    std::snprintf(tail, sizeof tail, "-%05zu-of-%05zu.gguf", i + 1, parts.size());
    const std::string path = folder + "/" + stem + tail;
    parts[i].write(path);
    if (i == 0) first = path;
  }
  return first;
}

void write_tiny_llama(const std::string& path, const TinyOptions& options) { tiny_llama(options).write(path); }

TemporaryFile::TemporaryFile(std::string_view bytes) {
  static std::atomic<int> count{0};
  path_ = (std::filesystem::temp_directory_path() /
           ("headwater_test_" + std::to_string(getpid()) + "_" + std::to_string(count++)))
              .string();
  std::ofstream(path_, std::ios::binary) << bytes;
}

TemporaryFile::~TemporaryFile() {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

}  // namespace headwater::test
