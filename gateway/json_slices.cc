#include "gateway/json_slices.h"

#include "gateway/json_text.h"

namespace headwater::gateway {
namespace {

void skip_space(std::string_view& rest) {
  while (!rest.empty() && std::string_view(" \t\r\n").find(rest.front()) != std::string_view::npos)
    rest.remove_prefix(1);
}

/// REQUIRES: a string begins here.
std::string_view take_string(std::string_view& rest) {
  std::size_t end = 1;
  while (end < rest.size() && rest[end] != '"') end += rest[end] == '\\' ? 2 : 1;
  const std::string_view taken = rest.substr(0, end + 1);
  rest.remove_prefix(taken.size());
  return taken;
}

/// A value of any kind, up to where it ends.
std::string_view take_value(std::string_view& rest) {
  skip_space(rest);
  const std::string_view from = rest;
  std::size_t open = 0;
  while (!rest.empty()) {
    const char c = rest.front();
    if (c == '"') {
      take_string(rest);
    } else if (c == '[' || c == '{') {
      ++open;
      rest.remove_prefix(1);
    } else if (open > 0 && (c == ']' || c == '}')) {
      --open;
      rest.remove_prefix(1);
    } else if (open == 0 && std::string_view(",]} \t\r\n").find(c) != std::string_view::npos) {
      break;
    } else {
      rest.remove_prefix(1);
      continue;
    }
    if (open == 0) break;
  }
  return from.substr(0, from.size() - rest.size());
}

/// Takes the brackets' opening one off. False: the text is another's.
bool open(std::string_view& rest, char bracket) {
  skip_space(rest);
  if (!rest.starts_with(bracket)) return false;
  rest.remove_prefix(1);
  skip_space(rest);
  return true;
}

/// Goes on behind a comma. False: the list or object has ended.
bool go_on(std::string_view& rest) {
  skip_space(rest);
  if (!rest.starts_with(',')) return false;
  rest.remove_prefix(1);
  skip_space(rest);
  return true;
}

bool is_key(std::string_view key, std::string_view name) {
  if (key.find('\\') == std::string_view::npos) return key.substr(1, key.size() - 2) == name;
  const Json read = Json::parse(key, nullptr, false);
  return read.is_string() && read.get_ref<const std::string&>() == name;
}

}  // namespace

std::string_view json_member(std::string_view text, std::string_view name) {
  std::string_view found;
  if (!open(text, '{') || !text.starts_with('"')) return found;
  do {
    const std::string_view key = take_string(text);
    skip_space(text);
    if (!text.starts_with(':')) return found;
    text.remove_prefix(1);
    const std::string_view value = take_value(text);
    if (is_key(key, name)) found = value;
  } while (go_on(text) && text.starts_with('"'));
  return found;
}

std::vector<std::string_view> json_elements(std::string_view text) {
  std::vector<std::string_view> elements;
  if (!open(text, '[') || text.starts_with(']')) return elements;
  do {
    elements.push_back(take_value(text));
  } while (go_on(text));
  return elements;
}

}  // namespace headwater::gateway
