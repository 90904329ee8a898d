#include "model/fragment_encoding.h"

#include <algorithm>
#include <utility>

namespace headwater::model {
namespace {

/// To look for special tokens is so much quicker than to merge, for a byte.
constexpr std::size_t kSearchShare = 16;

}  // namespace

FragmentEncoding::FragmentEncoding(const VocabularyTokenizer& tokenizer, std::string_view text, EncodeOptions options)
    : vocabulary_(tokenizer), text_(text), parse_special_(options.parse_special) {
  if (options.add_special && tokenizer.add_bos_) ids_.push_back(tokenizer.bos_);
  if (options.add_special && tokenizer.add_eos_) last_ = tokenizer.eos_;
}

bool FragmentEncoding::advance(std::size_t bytes) {
  while (true) {
    if (open_) {
      if (!go_on(bytes)) return false;
      open_ = false;
    }
    if (special_ >= 0) ids_.push_back(std::exchange(special_, -1));
    if (begin_ == text_.size()) break;
    if (bytes == 0) return false;
    find_special(bytes);
  }
  if (last_ >= 0) ids_.push_back(std::exchange(last_, -1));
  return true;
}

void FragmentEncoding::find_special(std::size_t& bytes) {
  const std::size_t until = bytes > text_.size() / kSearchShare ? text_.size() : at_ + bytes * kSearchShare;
  SpecialTokens::Match found;
  const std::size_t from = at_;
  if (stripping_) {
    at_ = begin_ = std::min({text_.find_first_not_of(kWhiteSpace, begin_), until, text_.size()});
    stripping_ = at_ == until;
  }
  while (at_ < std::min(until, text_.size())) {
    found = vocabulary_.specials_.longest_at(text_.substr(at_), parse_special_);
    if (found.id >= 0) break;
    ++at_;
  }
  bytes -= std::min(bytes, std::max<std::size_t>((at_ - from) / kSearchShare, 1));
  if (found.id < 0 && at_ < text_.size()) return;
  special_ = found.id;
  open_ = at_ > begin_;
  if (open_) begin(text_.substr(begin_, at_ - begin_));
  begin_ = at_ = at_ + found.length;
  stripping_ = found.id >= 0 && vocabulary_.strips_space(found.id);
}

}  // namespace headwater::model
