#include "gateway/request_id.h"

#include <algorithm>
#include <random>

namespace headwater::gateway {
namespace {

bool is_id_character(char c) {
  const bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return alphanumeric || std::string_view("-._:/+=@~").find(c) != std::string_view::npos;
}

}  // namespace

std::string random_id(std::string_view prefix) {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  constexpr char kDigits[] = "0123456789abcdef";
  std::string id(prefix);
  for (int i = 0; i < 24; ++i) id += kDigits[generator() & 15U];
  return id;
}

bool is_request_id(std::string_view text) {
  return !text.empty() && text.size() <= kMaxRequestIdBytes && std::ranges::all_of(text, is_id_character);
}

std::string request_id(std::string_view given) { return is_request_id(given) ? std::string(given) : random_id("req-"); }

std::string loggable_id(std::string_view text) {
  std::string id(text.substr(0, kMaxRequestIdBytes));
  std::ranges::replace_if(
      id, [](char c) { return !is_id_character(c); }, '?');
  return id;
}

}  // namespace headwater::gateway
