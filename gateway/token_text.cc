#include "gateway/token_text.h"

#include <algorithm>

namespace headwater::gateway {
namespace {

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

/// Bytes of the character at the front, 0 where it is malformed. Source: RFC 3629, section 4.
std::size_t character_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (!continues(text[i])) return 0;
  }
  const auto second = static_cast<unsigned char>(text[1]);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool surrogate = first == 0xED && second >= 0xA0;
  const bool too_high = first == 0xF4 && second >= 0x90;
  return overlong || surrogate || too_high ? 0 : length;
}

/// Whether more bytes may make this one character.
bool may_become_one(std::string_view text) {
  const auto with = [&](char next) { return character_length(std::string(text) + std::string(3, next)) > text.size(); };
  return with('\x80') || with('\x90') || with('\xa0');
}

/// Takes the whole characters off the front of `bytes`, as they are shown: what is no UTF-8 as U+FFFD.
std::string whole_characters(std::string& bytes) {
  std::string shown;
  std::string_view rest = bytes;
  while (!rest.empty()) {
    std::size_t length = character_length(rest);
    if (length == 0 && may_become_one(rest)) break;
    shown += length > 0 ? rest.substr(0, length) : std::string_view("\xEF\xBF\xBD");
    // Of what is malformed, all that could have begun a character is shown as one.
    if (length == 0) {
      for (length = 1; may_become_one(rest.substr(0, length + 1));) ++length;
    }
    rest.remove_prefix(length);
  }
  bytes.erase(0, bytes.size() - rest.size());
  return shown;
}

}  // namespace

bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t length = character_length(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::size_t count_characters(std::string_view bytes) {
  return static_cast<std::size_t>(std::count_if(bytes.begin(), bytes.end(), [](char c) { return !continues(c); }));
}

std::optional<std::size_t> TextOffsets::next(std::string_view bytes, bool complete) {
  std::string_view left = std::string_view(text_).substr(read_);
  std::string rest = incomplete_ + std::string(bytes);
  std::string shown = whole_characters(rest);
  // Some vocabularies put a space in front of a text's first word.
  if (read_ == 0 && shown.starts_with(' ') && !left.empty() && !left.starts_with(' ')) shown.erase(0, 1);
  const std::size_t begin = characters_;
  const bool here = left.starts_with(shown);
  const bool begun = shown.starts_with(left);
  if (!here && begun && !complete) return std::nullopt;
  if (!here && !begun) return begin;  // a token without text
  left = left.substr(0, shown.size());
  read_ += left.size();
  characters_ += count_characters(left);
  incomplete_ = std::move(rest);
  return begin;
}

std::string token_name(const TokenLogprob& token, bool by_id) {
  if (by_id) return "token_id:" + std::to_string(token.token);
  if (is_utf8(token.bytes)) return token.bytes;
  constexpr char kDigits[] = "0123456789abcdef";
  std::string name = "bytes:";
  for (const char c : token.bytes) {
    const auto byte = static_cast<unsigned char>(c);
    name += {'\\', 'x', kDigits[byte >> 4U], kDigits[byte & 15U]};
  }
  return name;
}

double finite_logprob(float logprob) { return std::max(static_cast<double>(logprob), -9999.0); }

}  // namespace headwater::gateway
