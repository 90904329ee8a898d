#pragma once
// The table of `headwater eval kv`: a row for each format of the KV cache.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/eval/decode_speed.h"
#include "tools/eval/kv_room.h"
#include "tools/eval/mmlu.h"
#include "tools/eval/perplexity.h"
#include "tools/eval/quant_policy.h"
#include "tools/headwater/eval.h"

namespace headwater::tools {

/// What was found of a format.
struct KvRow {
  eval::QuantPolicy policy;
  std::optional<eval::KvRoom> room = std::nullopt;  ///< none: it cannot hold the model's heads; nothing else is known
  eval::Likelihood texts = {};
  std::optional<eval::McTally> mmlu = std::nullopt;
  std::vector<double> speeds = {};  ///< tokens per second, ascending
};

/// What was measured, for the heading.
struct KvTable {
  std::string reference;           ///< file of float32 results; empty: the built-in text, against 16 bits
  std::size_t positions = 0;       ///< that were compared
  std::size_t first_position = 0;  ///< of the built-in text
  std::string memory;              ///< as the user wrote it
  std::uint64_t memory_bytes = 0;
  std::size_t questions_too_long = 0;
  std::optional<eval::DecodeOptions> decode;  ///< none: no speed was measured
};

/// Heading and rows; one of them at least.
void print_kv_table(const KvTable& table, const EvalVariant& variant, const std::vector<KvRow>& rows, Figures& figures);

}  // namespace headwater::tools
