#include "model/sentencepiece_encoding.h"

#include <algorithm>
#include <limits>

namespace headwater::model {
namespace {

/// Bytes up to which a word is merged at once.
constexpr std::size_t kShortWord = 64;
// Words come again and again in a text of some length.
constexpr std::size_t kRepeating = 1024;
constexpr std::size_t kMostSeen = 1 << 14;

std::string_view first_character(std::string_view text) { return text.substr(0, character_length(text)); }

}  // namespace

SentencePieceEncoding::SentencePieceEncoding(const SentencePieceTokenizer& tokenizer, std::string_view text,
                                             EncodeOptions options)
    : FragmentEncoding(tokenizer, text, options),
      tokenizer_(tokenizer),
      // Unknown characters one after the other are one token, so there a word depends on the one before.
      repeats_(text.size() >= kRepeating && tokenizer.spells_bytes_),
      merger_(tokenizer.pieces_) {}

void SentencePieceEncoding::begin(std::string_view fragment) {
  first_id_ = ids_.size();
  rest_ = fragment;
  const bool marked = fragment.find(kSpaceMark) != std::string_view::npos;
  if (!tokenizer_.add_space_ && !marked) return;
  room_ = tokenizer_.add_space_ ? " " : "";
  room_ += marked ? with_spaces(fragment) : fragment;
  rest_ = room_;
}

bool SentencePieceEncoding::go_on(std::size_t& bytes) {
  while (true) {
    if (taking_) {
      if (!take_long_word(bytes)) return false;
      taking_ = false;
      merging_ = true;
    }
    if (merging_) {
      if (!merger_.advance(bytes) || !add_pieces(bytes)) return false;
      merging_ = false;
    }
    if (rest_.empty()) return true;
    if (bytes == 0) return false;
    const std::size_t length = word_length(kShortWord);
    if (length > kShortWord) {
      merger_.begin(rest_);
      taking_ = true;
      continue;
    }
    encode_word(rest_.substr(0, length));
    rest_.remove_prefix(length);
    bytes -= std::min(bytes, length);
  }
}

std::size_t SentencePieceEncoding::word_length(std::size_t most) const {
  std::string_view last = first_character(rest_);
  std::size_t length = last.size();
  while (length < rest_.size() && length <= most) {
    const std::string_view next = first_character(rest_.substr(length));
    if (!tokenizer_.pieces_.joins(last, next)) break;
    length += next.size();
    last = next;
  }
  return length;
}

bool SentencePieceEncoding::take_long_word(std::size_t& bytes) {
  while (bytes > 0) {
    const std::string_view character = first_character(rest_);
    merger_.push(character.size());
    rest_.remove_prefix(character.size());
    bytes -= std::min(bytes, character.size());
    if (rest_.empty() || !tokenizer_.pieces_.joins(character, first_character(rest_))) return true;
  }
  return false;
}

void SentencePieceEncoding::encode_word(std::string_view word) {
  if (repeats_) {
    if (const auto seen = seen_.find(word); seen != seen_.end()) {
      const auto [at, count] = seen->second;
      for (std::size_t i = 0; i < count; ++i) ids_.push_back(ids_[at + i]);
      return;
    }
  }
  const std::size_t before = ids_.size();
  merger_.begin(word);
  for (std::size_t at = 0; at < word.size();) {
    const std::size_t length = character_length(word.substr(at));
    merger_.push(length);
    at += length;
  }
  std::size_t steps = std::numeric_limits<std::size_t>::max();
  merger_.advance(steps);
  add_pieces(steps);
  if (repeats_ && seen_.size() < kMostSeen) seen_.emplace(word, Seen{before, ids_.size() - before});
}

bool SentencePieceEncoding::add_pieces(std::size_t& bytes) {
  for (; bytes > 0; --bytes) {
    const std::string_view piece = merger_.next();
    if (piece.empty()) return true;
    add_piece(piece);
  }
  return false;
}

void SentencePieceEncoding::add_piece(std::string_view piece) {
  if (const PieceTable::Piece found = tokenizer_.pieces_.find(piece); found.id >= 0) {
    ids_.push_back(found.id);
  } else if (tokenizer_.spells_bytes_) {
    for (const char byte : piece) ids_.push_back(tokenizer_.byte_tokens_[static_cast<unsigned char>(byte)]);
  } else if (tokenizer_.unknown_ >= 0 && (ids_.size() == first_id_ || ids_.back() != tokenizer_.unknown_)) {
    ids_.push_back(tokenizer_.unknown_);
  }
}

}  // namespace headwater::model
