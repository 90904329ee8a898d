#pragma once
// How each family of models cuts text into words: the patterns behind the names in tokenizer.ggml.pre.

#include <span>
#include <string_view>
#include <vector>

namespace headwater::model {

struct PretokenizerRules {
  std::vector<std::string_view> names;  ///< the first is the usual one
  std::vector<const char*> stages;      ///< PCRE2 patterns; each cuts the pieces of the one before
  bool whole_words_first = false;       ///< a word that is a token as a whole is taken without merging
  bool adds_bos = false;                ///< BOS goes in front unless the file says otherwise
};

std::span<const PretokenizerRules> pretokenizer_rules();

}  // namespace headwater::model
