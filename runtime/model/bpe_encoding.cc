#include "model/bpe_encoding.h"

#include <algorithm>

namespace headwater::model {
namespace {

/// Symbols up to which a word is merged at once, without a heap.
constexpr std::size_t kShortWord = 32;
// Words come again and again in a text of some length.
constexpr std::size_t kRepeating = 1024;
constexpr std::size_t kMostSeen = 1 << 14;

}  // namespace

BytePairEncoding::BytePairEncoding(const BytePairTokenizer& tokenizer, std::string_view text, EncodeOptions options)
    : FragmentEncoding(tokenizer, text, options),
      tokenizer_(tokenizer),
      repeats_(text.size() >= kRepeating),
      merger_(tokenizer.merges_) {}

void BytePairEncoding::begin(std::string_view fragment) { words_.emplace(*tokenizer_.pretokenizer_, fragment); }

bool BytePairEncoding::go_on(std::size_t& bytes) {
  while (true) {
    if (merging_) {
      if (!merger_.advance(bytes)) return false;
      merger_.take(ids_);
      merging_ = false;
    }
    if (bytes == 0) return false;
    const std::string_view word = words_ ? words_->next() : std::string_view();
    if (word.empty()) return true;
    bytes -= std::min(bytes, word.size());
    encode_word(word);
  }
}

void BytePairEncoding::encode_word(std::string_view word) {
  if (tokenizer_.pretokenizer_->whole_words_first()) {
    if (const auto whole = tokenizer_.by_bytes_.find(word); whole != tokenizer_.by_bytes_.end()) {
      ids_.push_back(whole->second);
      return;
    }
  }
  const bool repeats = repeats_ && word.size() <= kShortWord;
  if (repeats) {
    if (const auto seen = seen_.find(word); seen != seen_.end()) {
      const auto [at, count] = seen->second;
      for (std::size_t i = 0; i < count; ++i) ids_.push_back(ids_[at + i]);
      return;
    }
  }
  const std::size_t before = ids_.size();
  begin_word(word);
  if (repeats && !merging_ && seen_.size() < kMostSeen) seen_.emplace(word, Seen{before, ids_.size() - before});
}

void BytePairEncoding::begin_word(std::string_view word) {
  // A byte without a token is a symbol without an id: nothing merges across it, and it is left out in the end.
  symbols_.clear();
  for (const char byte : word) symbols_.push_back(tokenizer_.byte_tokens_[static_cast<unsigned char>(byte)]);
  if (symbols_.size() <= kShortWord) {
    const std::size_t count = merger_.merge_short(symbols_);
    std::copy_if(symbols_.begin(), symbols_.begin() + static_cast<std::ptrdiff_t>(count), std::back_inserter(ids_),
                 [](TokenId id) { return id >= 0; });
  } else {
    merger_.begin(symbols_);
    merging_ = true;
  }
}

}  // namespace headwater::model
