#pragma once
// Reads an architecture's metadata, one after the other; the first mistake is kept.

#include <cstdint>
#include <optional>
#include <string>

#include "model/decoder_spec.h"
#include "model/gguf.h"

namespace headwater::model {

/// Greater values in a file are mistakes: they bound what is computed from them to 64 bits.
inline constexpr std::uint64_t kMaxDimension = 1U << 20U;
inline constexpr std::uint64_t kMaxContext = 1U << 24U;
inline constexpr std::uint64_t kMaxLayers = 1024;

class SpecReader {
 public:
  /// context: see read_decoder_spec().
  SpecReader(const GgufFile& file, std::string architecture, std::uint32_t context)
      : file_(file), prefix_(std::move(architecture) + "."), context_(context) {}

  // Keys are behind the architecture's prefix. What is missing has `fallback`, or is a mistake.

  /// 1 … most.
  std::uint32_t dimension(const char* name, std::uint64_t most, std::optional<std::uint64_t> fallback = {});
  /// 0 … most.
  std::uint32_t count(const char* name, std::uint64_t most, std::uint64_t fallback);
  /// A number greater than 0.
  double positive(const char* name, std::optional<double> fallback = {});
  std::string text(const char* name, const char* fallback);
  bool has(const std::string& name) const { return file_.find(prefix_ + name) != nullptr; }
  bool has_tensor(const std::string& name) const { return file_.find_tensor(name) != nullptr; }

  /// Keeps the mistake `message` about metadata `name`, unless there is one. Gives a harmless value: nothing is built
  /// after a mistake.
  std::uint32_t fail(const std::string& name, const std::string& message);
  const std::optional<Error>& error() const { return error_; }
  const GgufFile& file() const { return file_; }
  /// The most tokens that a sequence will have; 0: as many as the model's own context.
  std::uint32_t context() const { return context_; }

 private:
  std::uint32_t fail(Error error);

  const GgufFile& file_;
  std::string prefix_;
  std::uint32_t context_;
  std::optional<Error> error_;
};

/// The window that all layers have, by `attention.sliding_window`; 0, or the whole context: none.
void read_window(SpecReader& read, DecoderSpec& spec);

/// How positions are scaled by `rope.scaling.*`: none, linear (also where only a factor is given), yarn. model_context:
/// what YaRN's original context is where the file does not say.
void read_rope_scaling(SpecReader& read, RopeSpec& rope, std::uint32_t model_context);

}  // namespace headwater::model
