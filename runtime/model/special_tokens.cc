#include "model/special_tokens.h"

namespace headwater::model {
namespace {

std::uint64_t edge(std::uint32_t node, char byte) {
  return std::uint64_t{node} << 8U | static_cast<unsigned char>(byte);
}

}  // namespace

std::uint32_t SpecialTokens::next(std::uint32_t node, char byte) const {
  if (node == 0) return first_[static_cast<unsigned char>(byte)];
  const auto found = edges_.find(edge(node, byte));
  return found == edges_.end() ? 0 : found->second;
}

void SpecialTokens::add(std::string_view text, TokenId id, bool control) {
  std::uint32_t node = 0;
  for (const char byte : text) {
    std::uint32_t child = next(node, byte);
    if (child == 0) {
      child = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
      (node == 0 ? first_[static_cast<unsigned char>(byte)] : edges_[edge(node, byte)]) = child;
    }
    node = child;
  }
  nodes_[node] = {id, control};
}

SpecialTokens::Match SpecialTokens::longest_at(std::string_view text, bool with_control) const {
  Match longest;
  std::uint32_t node = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    node = next(node, text[i]);
    if (node == 0) break;
    const Node& at = nodes_[node];
    if (at.id >= 0 && (with_control || !at.control)) longest = {at.id, i + 1};
  }
  return longest;
}

TokenId SpecialTokens::find(std::string_view text) const {
  std::uint32_t node = 0;
  for (const char byte : text) {
    node = next(node, byte);
    if (node == 0) return -1;
  }
  return nodes_[node].id;
}

}  // namespace headwater::model
