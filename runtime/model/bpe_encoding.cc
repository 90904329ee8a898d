#include "model/bpe_encoding.h"

#include <algorithm>

#include "model/utf8.h"

namespace headwater::model {
namespace {

/// To look for special tokens is so much quicker than to merge, for a byte.
constexpr std::size_t kSearchShare = 16;
/// Symbols up to which a word is merged at once, without a heap.
constexpr std::size_t kShortWord = 32;
// Words come again and again in a text of some length.
constexpr std::size_t kRepeating = 1024;
constexpr std::size_t kMostSeen = 1 << 14;

}  // namespace

BytePairEncoding::BytePairEncoding(const BytePairTokenizer& tokenizer, std::string_view text, EncodeOptions options)
    : tokenizer_(tokenizer), text_(text), parse_special_(options.parse_special), merger_(tokenizer.merges_) {
  if (options.add_special && tokenizer.add_bos_) ids_.push_back(tokenizer.bos_);
}

bool BytePairEncoding::advance(std::size_t bytes) {
  while (true) {
    if (merging_) {
      if (!merger_.advance(bytes)) return false;
      merger_.take(ids_);
      merging_ = false;
    }
    if (bytes == 0) return false;
    if (words_) {
      const std::string_view word = words_->next();
      bytes -= std::min(bytes, word.size());
      if (!word.empty()) {
        encode_word(word);
        continue;
      }
      words_.reset();
      if (special_ >= 0) ids_.push_back(std::exchange(special_, -1));
    }
    if (begin_ == text_.size()) return true;
    find_special(bytes);
  }
}

void BytePairEncoding::find_special(std::size_t& bytes) {
  const std::size_t until = bytes > text_.size() / kSearchShare ? text_.size() : at_ + bytes * kSearchShare;
  std::size_t length = 0;
  const std::size_t from = at_;
  while (at_ < std::min(until, text_.size())) {
    const auto match = tokenizer_.specials_.longest_at(text_.substr(at_), parse_special_);
    special_ = match.id;
    length = match.length;
    if (special_ >= 0) break;
    ++at_;
  }
  bytes -= std::min(bytes, (at_ - from) / kSearchShare);
  if (special_ < 0 && at_ < text_.size()) return;
  words_.emplace(*tokenizer_.pretokenizer_, text_.substr(begin_, at_ - begin_));
  begin_ = at_ = at_ + length;
}

void BytePairEncoding::encode_word(std::string_view word) {
  if (tokenizer_.pretokenizer_->whole_words_first()) {
    if (const auto whole = tokenizer_.by_bytes_.find(word); whole != tokenizer_.by_bytes_.end()) {
      ids_.push_back(whole->second);
      return;
    }
  }
  const bool repeats = text_.size() >= kRepeating && word.size() <= kShortWord;
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
  symbols_.clear();
  const auto add = [&](char byte) {
    const TokenId id = tokenizer_.byte_tokens_[static_cast<unsigned char>(byte)];
    if (id >= 0) symbols_.push_back(id);
    return id >= 0;
  };
  for (const char byte : word) {
    if (!add(byte)) std::ranges::for_each(kReplacement, add);
  }
  if (symbols_.size() <= kShortWord) {
    const std::size_t count = merger_.merge_short(symbols_);
    ids_.insert(ids_.end(), symbols_.begin(), symbols_.begin() + static_cast<std::ptrdiff_t>(count));
  } else {
    merger_.begin(symbols_);
    merging_ = true;
  }
}

}  // namespace headwater::model
