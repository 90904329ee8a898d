#include "model/piece_table.h"

#include <algorithm>
#include <bit>

#include "model/utf8.h"

namespace headwater::model {
namespace {

constexpr std::size_t kMostJointBits = std::size_t{1} << 22U;
/// So many bits for each joint leave few that stand for another by chance.
constexpr std::size_t kBitsOfJoint = 8;

std::uint64_t packed(std::string_view character) {
  std::uint64_t bytes = 0;
  for (const char byte : character) bytes = bytes << 8U | static_cast<unsigned char>(byte);
  return bytes;
}

/// Two characters have at most eight bytes together.
std::uint64_t hash(std::string_view left, std::string_view right) {
  constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15U;
  const std::uint64_t mixed = (packed(left) << 32U | packed(right)) * kOdd;
  return (mixed ^ mixed >> 29U) * kOdd >> 32U;
}

}  // namespace

std::size_t character_length(std::string_view text) { return utf8_step(text).length; }

void PieceTable::reserve(std::size_t pieces, std::size_t bytes) {
  pieces_.reserve(pieces);
  const std::size_t bits = std::min(std::bit_ceil(std::max<std::size_t>(bytes, 8) * kBitsOfJoint), kMostJointBits);
  joints_.assign(bits / 64, 0);
}

void PieceTable::add(std::string_view text, Piece piece) {
  pieces_.emplace(text, piece);
  longest_ = std::max(longest_, text.size());
  std::string_view left = text.substr(0, character_length(text));
  while (left.data() + left.size() != text.data() + text.size()) {
    const std::string_view rest = text.substr(static_cast<std::size_t>(left.data() - text.data()) + left.size());
    const std::string_view right = rest.substr(0, character_length(rest));
    const std::uint64_t bit = hash(left, right) & (joints_.size() * 64 - 1);
    joints_[bit / 64] |= std::uint64_t{1} << bit % 64;
    left = right;
  }
}

PieceTable::Piece PieceTable::find(std::string_view text) const {
  if (text.size() > longest_) return {};
  const auto found = pieces_.find(text);
  return found == pieces_.end() ? Piece{} : found->second;
}

bool PieceTable::joins(std::string_view left, std::string_view right) const {
  const std::uint64_t bit = hash(left, right) & (joints_.size() * 64 - 1);
  return (joints_[bit / 64] >> bit % 64 & 1U) != 0;
}

}  // namespace headwater::model
