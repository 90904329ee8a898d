#pragma once
// Texts whose likelihood is measured, as tokens, with what a float32 reference found for them.

#include <string>
#include <string_view>
#include <vector>

#include "headwater/request.h"
#include "headwater/result.h"
#include "model/tokenizer.h"

namespace headwater::eval {

struct Document {
  std::string place;            ///< "FILE", or "FILE:LINE" of a record
  std::vector<TokenId> tokens;  ///< without the token that begins a text
  TokenId bos = -1;             ///< the token that the model wants before every text; -1: none

  // Of a reference, where there is one.
  std::optional<double> mean_nll;    ///< nats a token, over all tokens that have one before them
  std::vector<TokenId> top_ids;      ///< the best tokens after the text …
  std::vector<double> top_logprobs;  ///< … and their log-probabilities
};

/// The whole of a text file, cut into tokens as the server does it.
Result<Document> text_document(std::string_view text, const std::string& name, const model::Tokenizer& tokenizer);

/// JSON Lines with `prompt`, and optionally `ids` (the same text as tokens), `mean_nll`, `top10_ids` and
/// `top10_logprobs`. Errors: with file, line and field; `ids` that are not what the model's tokenizer makes of
/// `prompt`.
Result<std::vector<Document>> record_documents(std::string_view jsonl, const std::string& name,
                                               const model::Tokenizer& tokenizer);

}  // namespace headwater::eval
