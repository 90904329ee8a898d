#include "kernels/kv_format.h"

namespace headwater::kernels {
namespace {

constexpr std::string_view kNoRotation = "-norotate";
constexpr std::string_view kNoBalance = "-nobalance";
constexpr std::string_view kNoCentre = "-nocentre";
constexpr std::string_view kNoFirst = "-nofirst";

/// Takes `prefix` off the front of `text`, where it stands there.
bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// 8 or 4; 0: neither stands there.
std::uint8_t take_bits(std::string_view& text) { return take(text, "8") ? 8 : take(text, "4") ? 4 : 0; }

}  // namespace

std::optional<KvFormat> parse_quant_policy(std::string_view text) {
  KvFormat format;
  if (text == "0") return format;
  if (take(text, "k")) {
    format.key_bits = take_bits(text);
    if (!take(text, "v")) return std::nullopt;
    format.value_bits = take_bits(text);
  } else {
    format.key_bits = format.value_bits = take_bits(text);
  }
  if (format.key_bits == 0 || format.value_bits == 0) return std::nullopt;
  format.rotate_keys = !take(text, kNoRotation);
  format.rotate_values = format.rotate_keys && format.value_bits == 4;
  format.balance_keys = !take(text, kNoBalance);
  format.centre_keys = !take(text, kNoCentre);
  const bool all_in_4 = format.key_bits == 4 && format.value_bits == 4;
  format.first_in_8_bits = all_in_4 && !take(text, kNoFirst);
  return text.empty() ? std::optional(format) : std::nullopt;
}

std::string quant_policy(const KvFormat& format) {
  if (!format.quantised()) return "0";
  const std::string values = std::to_string(format.value_bits);
  std::string text = std::to_string(format.key_bits);
  if (format.key_bits != format.value_bits) text = "k" + text + "v" + values;
  if (!format.rotate_keys) text += kNoRotation;
  if (!format.balance_keys) text += kNoBalance;
  if (!format.centre_keys) text += kNoCentre;
  const bool all_in_4 = format.key_bits == 4 && format.value_bits == 4;
  if (all_in_4 && !format.first_in_8_bits) text += kNoFirst;
  return text;
}

}  // namespace headwater::kernels
