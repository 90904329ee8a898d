#include "model/jinja/characters.h"

#include <algorithm>

#include "model/utf8.h"

namespace headwater::model::jinja {
namespace {

std::uint32_t decoded(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])); };
  switch (bytes.size()) {
    case 1:
      return byte(0);
    case 2:
      return (byte(0) & 0x1FU) << 6U | (byte(1) & 0x3FU);
    case 3:
      return (byte(0) & 0x0FU) << 12U | (byte(1) & 0x3FU) << 6U | (byte(2) & 0x3FU);
    default:
      return (byte(0) & 0x07U) << 18U | (byte(1) & 0x3FU) << 12U | (byte(2) & 0x3FU) << 6U | (byte(3) & 0x3FU);
  }
}

/// Capitals first … last, whose small letters are `apart` further on; `apart` 1: capitals and small letters take turns.
struct CaseRange {
  std::uint32_t first, last, apart;
};
constexpr CaseRange kCases[] = {
    {'A', 'Z', 32},     {0xC0, 0xD6, 32},   {0xD8, 0xDE, 32},   {0x100, 0x12E, 1},   {0x132, 0x136, 1},
    {0x139, 0x147, 1},  {0x14A, 0x176, 1},  {0x179, 0x17D, 1},  {0x1CD, 0x1DB, 1},   {0x1DE, 0x1EE, 1},
    {0x1F8, 0x21E, 1},  {0x222, 0x232, 1},  {0x388, 0x38A, 37}, {0x38E, 0x38F, 63},  {0x391, 0x3A1, 32},
    {0x3A3, 0x3AB, 32}, {0x400, 0x40F, 80}, {0x410, 0x42F, 32}, {0x460, 0x480, 1},   {0x48A, 0x4BE, 1},
    {0x4C1, 0x4CD, 1},  {0x4D0, 0x52E, 1},  {0x531, 0x556, 48}, {0x1E00, 0x1E94, 1}, {0x1EA0, 0x1EFE, 1},
};

}  // namespace

Character first_character(std::string_view text) {
  const Utf8Step step = utf8_step(text);
  if (!step.valid) return {0xDC00U + static_cast<unsigned char>(text[0]), 1};
  return {decoded(text.substr(0, step.length)), step.length};
}

Character last_character(std::string_view text) {
  for (std::size_t length = 1; length <= std::min<std::size_t>(4, text.size()); ++length) {
    const std::string_view end = text.substr(text.size() - length);
    const Utf8Step step = utf8_step(end);
    if (step.valid && step.length == length) return {decoded(end), length};
  }
  return {0xDC00U + static_cast<unsigned char>(text.back()), 1};
}

std::size_t count_characters(std::string_view text) {
  std::size_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(first_character(text).length);
  return count;
}

std::size_t byte_of(std::string_view text, std::size_t index) {
  std::size_t at = 0;
  for (; index > 0 && at < text.size(); --index) at += first_character(text.substr(at)).length;
  return at;
}

void append_character(std::string& text, std::uint32_t code) {
  const auto add = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
  if (code >= 0xDC80 && code <= 0xDCFF) return add(code - 0xDC00);
  if (code < 0x80) return add(code);
  if (code < 0x800) {
    add(0xC0U | code >> 6U);
  } else {
    if (code < 0x10000) {
      add(0xE0U | code >> 12U);
    } else {
      add(0xF0U | code >> 18U);
      add(0x80U | (code >> 12U & 0x3FU));
    }
    add(0x80U | (code >> 6U & 0x3FU));
  }
  add(0x80U | (code & 0x3FU));
}

bool is_space(std::uint32_t code) {
  return (code >= 9 && code <= 13) || (code >= 0x1C && code <= 0x20) || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F ||
         code == 0x205F || code == 0x3000;
}

bool is_digit(std::uint32_t code) { return code >= '0' && code <= '9'; }

bool is_alpha(std::uint32_t code) {
  if (code < 0x80) return (code | 0x20U) >= 'a' && (code | 0x20U) <= 'z';
  // Letters by far, from here on; what is not is named.
  if (code < 0xC0) return code == 0xAA || code == 0xB5 || code == 0xBA;
  return code != 0xD7 && code != 0xF7 && !(code >= 0x2000 && code < 0x2C00) && !(code >= 0x3000 && code < 0x3005) &&
         !(code >= 0xDC00 && code < 0xF900) && !(code >= 0xFF00 && code < 0xFF21) &&
         !(code >= 0x1F000 && code < 0x20000);
}

bool is_printable(std::uint32_t code) {
  if (code == ' ') return true;
  if (is_space(code) || code < 0x20 || (code >= 0x7F && code <= 0xA0) || code == 0xAD) return false;
  return !(code >= 0x200B && code <= 0x200F) && !(code >= 0x202A && code <= 0x202E) &&
         !(code >= 0x2060 && code <= 0x206F) && !(code >= 0xD800 && code <= 0xF8FF) && code != 0xFEFF &&
         !(code >= 0xFFF0 && code <= 0xFFFB) && (code & 0xFFFEU) != 0xFFFE && code < 0xE0000;
}

std::uint32_t to_lower(std::uint32_t code) {
  if (code == 0x178) return 0xFF;
  if (code == 0x386) return 0x3AC;
  if (code == 0x38C) return 0x3CC;
  for (const CaseRange& range : kCases) {
    if (code < range.first || code > range.last) continue;
    return range.apart == 1 && (code - range.first) % 2 == 1 ? code : code + range.apart;
  }
  return code;
}

std::uint32_t to_upper(std::uint32_t code) {
  if (code == 0xFF) return 0x178;
  if (code == 0xB5) return 0x39C;
  if (code == 0x3C2) return 0x3A3;
  if (code == 0x3AC) return 0x386;
  if (code == 0x3CC) return 0x38C;
  for (const CaseRange& range : kCases) {
    if (code < range.first + range.apart || code > range.last + range.apart) continue;
    if (range.apart != 1 || (code - range.first) % 2 == 1) return code - range.apart;
  }
  return code;
}

}  // namespace headwater::model::jinja
