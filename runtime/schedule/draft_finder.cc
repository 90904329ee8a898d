#include "schedule/draft_finder.h"

#include <algorithm>

namespace headwater::schedule {
namespace {

constexpr std::size_t kFewestSlots = 256;
constexpr std::size_t kMostCounted = 32;  ///< of a match that has just been found
// From these lengths on a match belongs to the second and the third class.
constexpr std::size_t kLong = 6;
constexpr std::size_t kVeryLong = 16;
constexpr double kPace = 1.0 / 8;  ///< at which chances follow what guesses did
constexpr std::uint32_t kShortestPause = 4;

std::size_t class_of(std::size_t length) { return length < kLong ? 0 : length < kVeryLong ? 1 : 2; }

}  // namespace

DraftFinder::Class& DraftFinder::current() { return classes_[class_of(length_)]; }

/// Multiplicative hashing (Knuth, The Art of Computer Programming 6.4).
std::uint32_t& DraftFinder::slot(std::span<const TokenId> tokens, std::size_t last) {
  std::uint64_t digest = 0;
  for (std::size_t i = 0; i < kGram; ++i) {
    digest = (digest + static_cast<std::uint64_t>(tokens[last - i]) + 1) * 0x9E3779B97F4A7C15ULL;
    digest ^= digest >> 32U;
  }
  return slots_[digest & (slots_.size() - 1)];
}

void DraftFinder::grow(std::span<const TokenId> tokens) {
  std::size_t size = std::max(slots_.size(), kFewestSlots);
  while (size < tokens.size() && size < kMostPlaces) size *= 2;
  if (size == slots_.size()) return;
  slots_.assign(size, 0);
  for (std::size_t last = kGram - 1; last < seen_; ++last) slot(tokens, last) = static_cast<std::uint32_t>(last + 1);
}

void DraftFinder::look_up(std::span<const TokenId> tokens, std::size_t last) {
  const std::size_t found = slot(tokens, last);
  std::size_t same = 0;
  while (same < std::min(found, kMostCounted) && tokens[found - 1 - same] == tokens[last - same]) ++same;
  if (same < kGram) return;  // another hash, or others of the same
  next_ = found;
  length_ = same;
}

void DraftFinder::advance(std::span<const TokenId> tokens) {
  grow(tokens);
  for (; seen_ < tokens.size(); ++seen_) {
    if (length_ > 0 && tokens[next_] == tokens[seen_]) {
      ++length_;
      ++next_;
    } else {
      length_ = 0;
    }
    if (seen_ + 1 < kGram) continue;
    if (length_ == 0) look_up(tokens, seen_);
    slot(tokens, seen_) = static_cast<std::uint32_t>(seen_ + 1);
  }
}

std::vector<TokenId> DraftFinder::draft(std::span<const TokenId> tokens, std::uint32_t most, double worth) {
  std::vector<TokenId> guessed;
  if (length_ == 0 || most == 0) return guessed;
  Class& match = current();
  if (match.chance < worth) {
    if (match.rest > 0) {
      --match.rest;
      return guessed;
    }
    most = 1;
  }
  double chance = match.chance;
  // What is followed may run into the guess itself: then the text goes round in circles.
  do {
    const std::size_t place = next_ + guessed.size();
    guessed.push_back(place < tokens.size() ? tokens[place] : guessed[place - tokens.size()]);
    chance *= match.chance;
  } while (guessed.size() < most && chance >= worth);
  judged_ = class_of(length_);
  return guessed;
}

void DraftFinder::judge(std::uint32_t drafted, std::uint32_t right) {
  Class& match = classes_[judged_];
  for (std::uint32_t i = 0; i < right; ++i) match.chance += kPace * (1 - match.chance);
  if (right < drafted) match.chance -= kPace * match.chance;
  match.pause = right > 0 ? 0 : std::clamp(2 * match.pause, kShortestPause, kLongestPause);
  match.rest = match.pause;
}

}  // namespace headwater::schedule
