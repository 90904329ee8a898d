#include "model/utf8.h"

namespace headwater::model {

Utf8Step utf8_step(std::string_view text) {
  if (text.empty()) return {};
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {1, true, false};
  const std::size_t length = lead >= 0xC2 && lead < 0xE0   ? 2
                             : lead >= 0xE0 && lead < 0xF0 ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
  if (length == 0) return {1, false, false};
  for (std::size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {i, false, true};
    unsigned low = 0x80;
    unsigned high = 0xBF;
    if (i == 1) {  // overlong forms, surrogates, beyond U+10FFFF
      if (lead == 0xE0) low = 0xA0;
      if (lead == 0xED) high = 0x9F;
      if (lead == 0xF0) low = 0x90;
      if (lead == 0xF4) high = 0x8F;
    }
    if (byte(i) < low || byte(i) > high) return {i, false, false};
  }
  return {length, true, false};
}

bool valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    if (!step.valid) return false;
    text.remove_prefix(step.length);
  }
  return true;
}

std::string printable(std::string_view text, std::size_t most) {
  std::string out;
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    if (out.size() + step.length > most) return out + "\u2026";
    const auto first = static_cast<unsigned char>(text[0]);
    const bool c1_control = first == 0xC2 && step.valid && static_cast<unsigned char>(text[1]) < 0xA0;
    const bool control = first < 0x20 || first == 0x7F || c1_control;
    out += step.valid && !control ? std::string(text.substr(0, step.length)) : "?";
    text.remove_prefix(step.length);
  }
  return out;
}

}  // namespace headwater::model
