#include "model/jinja/text_operations.h"

#include <cstring>
#include <string>

#include "model/jinja/characters.h"

namespace headwater::model::jinja {
namespace {

bool in_set(std::string_view set, std::string_view character) {
  for (; !set.empty(); set.remove_prefix(first_character(set).length)) {
    if (set.substr(0, first_character(set).length) == character) return true;
  }
  return false;
}

/// Limits what grows out of small parts.
class Parts {
 public:
  explicit Parts(Budget& budget) : budget_(budget) {}
  void add(Text text) {
    budget_.step();
    budget_.copy(text.size());
    bytes_ += sizeof(Text) + 64 + text.cost();
    budget_.check(bytes_);
    all_.push_back(std::move(text));
  }
  std::vector<Text> take() { return std::move(all_); }
  std::size_t size() const { return all_.size(); }
  std::vector<Text>& all() { return all_; }

 private:
  Budget& budget_;
  std::size_t bytes_ = 0;
  std::vector<Text> all_;
};

std::size_t skip_space(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Character c = first_character(text.substr(at));
    if (!is_space(c.code)) break;
    at += c.length;
  }
  return at;
}

std::size_t skip_word(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Character c = first_character(text.substr(at));
    if (is_space(c.code)) break;
    at += c.length;
  }
  return at;
}

std::vector<Text> split_at_space(const Text& text, std::size_t most, Budget& budget) {
  Parts parts(budget);
  const std::string_view bytes = text.bytes();
  std::size_t at = skip_space(bytes, 0);
  while (at < bytes.size()) {
    if (parts.size() == most) {
      parts.add(text.part(at, bytes.size()));
      break;
    }
    const std::size_t end = skip_word(bytes, at);
    parts.add(text.part(at, end));
    at = skip_space(bytes, end);
  }
  return parts.take();
}

std::vector<Text> split_from_right(const Text& text, const Text& separator, std::size_t most, Budget& budget) {
  Parts parts(budget);
  std::size_t end = text.size();
  while (parts.size() < most) {
    const std::size_t at = find_last_bytes(std::string_view(text.bytes()).substr(0, end), separator.bytes(), budget);
    if (at == kNowhere) break;
    parts.add(text.part(at + separator.size(), end));
    end = at;
  }
  parts.add(text.part(0, end));
  std::vector<Text> all = parts.take();
  return {std::make_move_iterator(all.rbegin()), std::make_move_iterator(all.rend())};
}

}  // namespace

std::size_t find_bytes(std::string_view text, std::string_view what, std::size_t from, Budget& budget) {
  if (from > text.size()) return kNowhere;
  const std::string_view rest = text.substr(from);
  const void* found = memmem(rest.data(), rest.size(), what.data(), what.size());
  const std::size_t at =
      found == nullptr ? kNowhere : from + static_cast<std::size_t>(static_cast<const char*>(found) - rest.data());
  budget.copy(what.size() + (found == nullptr ? rest.size() : at - from));
  return at;
}

std::size_t find_last_bytes(std::string_view text, std::string_view what, Budget& budget) {
  // From the end, in windows that grow: what is near is found without looking at all.
  if (what.size() > text.size()) return kNowhere;
  for (std::size_t window = what.size() + 64;; window *= 2) {
    const std::size_t begin = window >= text.size() ? 0 : text.size() - window;
    std::size_t last = kNowhere;
    for (std::size_t at = find_bytes(text, what, begin, budget); at != kNowhere;
         at = find_bytes(text, what, at + 1, budget)) {
      budget.step();
      last = at;
    }
    if (last != kNowhere || begin == 0) return last;
  }
}

std::size_t count_of(std::string_view text, std::string_view what, Budget& budget) {
  if (what.empty()) return count_characters(text) + 1;
  std::size_t count = 0;
  for (std::size_t at = find_bytes(text, what, 0, budget); at != kNowhere;
       at = find_bytes(text, what, at + what.size(), budget)) {
    ++count;
  }
  return count;
}

Text stripped(const Text& text, const Text* characters, Ends ends, Budget& budget) {
  std::string_view bytes = text.bytes();
  const auto goes = [&](Character c, std::string_view character) {
    if (characters == nullptr) return is_space(c.code);
    budget.step(1 + characters->size() / 8);
    return in_set(characters->bytes(), character);
  };
  budget.copy(bytes.size());
  std::size_t begin = 0;
  while (ends.left && !bytes.empty()) {
    const Character c = first_character(bytes);
    if (!goes(c, bytes.substr(0, c.length))) break;
    begin += c.length;
    bytes.remove_prefix(c.length);
  }
  while (ends.right && !bytes.empty()) {
    const Character c = last_character(bytes);
    if (!goes(c, bytes.substr(bytes.size() - c.length))) break;
    bytes.remove_suffix(c.length);
  }
  return text.part(begin, begin + bytes.size());
}

std::vector<Text> split(const Text& text, const Text* separator, std::size_t most, bool from_right, Budget& budget) {
  if (separator == nullptr) {
    if (from_right && most != kAllOf) fail("rsplit() at white space with a limit is not supported");
    return split_at_space(text, most, budget);
  }
  if (separator->empty()) fail("empty separator");
  if (from_right) return split_from_right(text, *separator, most, budget);
  Parts parts(budget);
  std::size_t begin = 0;
  while (parts.size() < most) {
    const std::size_t at = find_bytes(text.bytes(), separator->bytes(), begin, budget);
    if (at == kNowhere) break;
    parts.add(text.part(begin, at));
    begin = at + separator->size();
  }
  parts.add(text.part(begin, text.size()));
  return parts.take();
}

std::vector<Text> split_lines(const Text& text, bool keep_ends, Budget& budget) {
  Parts parts(budget);
  const std::string_view bytes = text.bytes();
  std::size_t begin = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const Character c = first_character(bytes.substr(at));
    const bool ends = (c.code >= 10 && c.code <= 13) || (c.code >= 0x1C && c.code <= 0x1E) || c.code == 0x85 ||
                      c.code == 0x2028 || c.code == 0x2029;
    const std::size_t length = bytes.substr(at).starts_with("\r\n") ? 2 : c.length;
    if (ends) {
      parts.add(text.part(begin, keep_ends ? at + length : at));
      begin = at + length;
    }
    at += ends ? length : c.length;
  }
  if (begin < bytes.size()) parts.add(text.part(begin, bytes.size()));
  return parts.take();
}

Text replaced(const Text& text, const Text& from, const Text& to, std::size_t most, Budget& budget) {
  Text result;
  const auto add = [&](const Text& source, std::size_t begin, std::size_t end) {
    budget.step();
    budget.copy(end - begin);
    budget.check(result.cost() + source.cost());
    result.append(source, begin, end);
  };
  if (from.empty()) {  // between all characters
    std::size_t at = 0;
    for (std::size_t n = 0; n < most; ++n) {
      add(to, 0, to.size());
      if (at == text.size()) break;
      const std::size_t length = first_character(std::string_view(text.bytes()).substr(at)).length;
      add(text, at, at + length);
      at += length;
    }
    add(text, at, text.size());
    return result;
  }
  std::size_t begin = 0;
  for (std::size_t n = 0; n < most; ++n) {
    const std::size_t at = find_bytes(text.bytes(), from.bytes(), begin, budget);
    if (at == kNowhere) break;
    add(text, begin, at);
    add(to, 0, to.size());
    begin = at + from.size();
  }
  add(text, begin, text.size());
  return result;
}

Text with_case(const Text& text, Case to, Budget& budget) {
  budget.step(text.size() / 8);
  Text result;
  bool begins = true;  // a word, or the text
  text.each_stretch(0, text.size(), [&](std::string_view part, Origin origin) {
    std::string changed;
    while (!part.empty()) {
      const Character c = first_character(part);
      const bool up = to == Case::upper || (begins && to != Case::lower && to != Case::swapped) ||
                      (to == Case::swapped && to_upper(c.code) != c.code);
      if (up && c.code == 0xDF) {
        changed += to == Case::upper ? "SS" : "Ss";
      } else {
        append_character(changed, up ? to_upper(c.code) : to_lower(c.code));
      }
      if (to == Case::capitalized) begins = false;
      if (to == Case::title) begins = !is_alpha(c.code);
      if (to == Case::titled_words) begins = is_space(c.code) || std::string_view("-({[<").find(part[0]) != kNowhere;
      part.remove_prefix(c.length);
    }
    result.append(changed, origin);
  });
  return result;
}

Text escaped(const Text& text, Budget& budget) {
  Text result;
  text.each_stretch(0, text.size(), [&](std::string_view part, Origin origin) {
    std::string marked;
    for (const char c : part) {
      marked += c == '&'    ? "&amp;"
                : c == '<'  ? "&lt;"
                : c == '>'  ? "&gt;"
                : c == '"'  ? "&#34;"
                : c == '\'' ? "&#39;"
                            : std::string(1, c);
    }
    budget.step(part.size() / 8);
    budget.check(result.cost() + marked.size());
    result.append(marked, origin);
  });
  return result;
}

Text filled(const Text& text, std::size_t width, const Text& fill, int left, Budget& budget) {
  budget.copy(text.size());
  const std::size_t size = count_characters(text.bytes());
  if (width <= size) return text;
  const std::size_t lacks = width - size;
  if (lacks > budget.limits().bytes) budget.check(lacks);
  budget.check(lacks * fill.size());
  budget.step(lacks);
  // Python's str.center() puts the odd one in front where the width is odd as well.
  const std::size_t before = left == 0 ? 0 : left == 1 ? lacks : lacks / 2 + (lacks & width & 1U);
  Text result;
  for (std::size_t i = 0; i < before; ++i) result.append(fill);
  result.append(text);
  for (std::size_t i = before; i < lacks; ++i) result.append(fill);
  return result;
}

}  // namespace headwater::model::jinja
