#pragma once
// The tokens of a learning run: any text does, as long as it is of many kinds.

#include <cstdint>
#include <vector>

#include "headwater/request.h"
#include "model/gguf.h"

namespace headwater::model {

/// `n` ids below vocab_size: pieces of 64 of a built-in text, as the file's own tokenizer has them, behind BOS where
/// the file wants one. Ids that are always the same, but no text, where there is no file, or its tokenizer cannot be
/// read or is a toy.
std::vector<TokenId> learning_tokens(const GgufFile* file, std::uint32_t vocab_size, std::uint32_t n);

}  // namespace headwater::model
