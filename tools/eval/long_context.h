#pragma once
// What a format of the KV cache costs in long contexts: how far the log-probabilities of the likeliest tokens are from
// those of a reference, position by position, and how likely the text is found.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "headwater/result.h"
#include "tools/eval/document.h"
#include "tools/eval/perplexity.h"
#include "tools/eval/scorer.h"

namespace headwater::eval {

/// What a reference says of one position of a text.
struct Watched {
  std::size_t position = 0;      ///< of the token after which the others may follow, from 0 on
  std::vector<TokenId> ids;      ///< the likeliest tokens after it …
  std::vector<double> logprobs;  ///< … and their log-probabilities
};

struct WatchedText {
  std::string place;             ///< "FILE:LINE", or a name
  std::vector<TokenId> tokens;   ///< all that is computed, the model's BOS among them; at least 2
  std::vector<Watched> watched;  ///< by ascending position
};

/// JSON Lines with `ids`, `positions` (ascending), and for each of them lists in `top10_ids` and `top10_logprobs`.
/// context: the most tokens that the model takes. Errors: with file, line and field.
Result<std::vector<WatchedText>> read_watched_texts(std::string_view jsonl, const std::string& name,
                                                    std::uint32_t vocab_size, std::uint32_t context);

/// The document's first tokens, `context` at most; nothing of it is watched yet.
WatchedText watched_text(const Document& document, std::uint32_t context);

/// Takes what the scorer's model says itself as the reference: the 10 likeliest tokens after each position from `first`
/// on. REQUIRES: reset() made room for the text. Error: logits that are not usable, with the place.
Result<void> watch(Scorer& scorer, WatchedText& text, std::size_t first);

/// Scores every token but the first by what stands before it, and holds watched positions against their reference.
/// REQUIRES and error as above.
Result<Likelihood> measure(Scorer& scorer, const WatchedText& text);

}  // namespace headwater::eval
