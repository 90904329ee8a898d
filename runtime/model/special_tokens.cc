#include "model/special_tokens.h"

#include <algorithm>
#include <utility>

namespace headwater::model {
namespace {

unsigned first_byte(std::string_view text) { return static_cast<unsigned char>(text.front()); }

}  // namespace

SpecialTokens::SpecialTokens(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::ranges::sort(entries_, {}, &Entry::text);
  for (const Entry& entry : entries_) ++first_[first_byte(entry.text) + 1];
  for (std::size_t byte = 1; byte < first_.size(); ++byte) first_[byte] += first_[byte - 1];
}

SpecialTokens::Match SpecialTokens::longest_at(std::string_view text, bool with_control) const {
  Match longest;
  if (text.empty()) return longest;
  const Entry* begin = entries_.data() + first_[first_byte(text)];
  const Entry* end = entries_.data() + first_[first_byte(text) + 1];
  // All from begin to end agree with the text in `length` bytes; the shortest of them comes first.
  for (std::size_t length = 1; begin != end; ++length) {
    if (begin->text.size() == length) {
      if (with_control || !begin->control) longest = {begin->id, length};
      ++begin;
    }
    if (length == text.size()) break;
    const auto byte = static_cast<unsigned char>(text[length]);
    const auto at = [&](const Entry& entry) { return static_cast<unsigned char>(entry.text[length]); };
    begin = std::partition_point(begin, end, [&](const Entry& entry) { return at(entry) < byte; });
    end = std::partition_point(begin, end, [&](const Entry& entry) { return at(entry) <= byte; });
  }
  return longest;
}

TokenId SpecialTokens::find(std::string_view text) const {
  const auto found = std::ranges::lower_bound(entries_, text, {}, &Entry::text);
  return found != entries_.end() && found->text == text ? found->id : -1;
}

}  // namespace headwater::model
