#pragma once
// Guesses how a sequence goes on from its own text: answers often repeat what the prompt or they themselves have said.
// It looks for the latest place where the last tokens have stood before, and follows it for as long as it is right.
// Source: Saxena, "Prompt lookup decoding", 2023; the match that is followed is that of Mahoney's PAQ compressors.
//
// What a guess is worth it learns from how those before it did, short matches and long ones apart. Where they are wrong
// too often it guesses nothing for a while, each time for longer, and then tries one token.
//
// Memory: 4 bytes for up to kMostPlaces places, none before the first advance(). Time: O(1) a token.
// Threading: one caller at a time.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "headwater/request.h"

namespace headwater::schedule {

class DraftFinder {
 public:
  /// Tokens that a place must share with the end of the sequence.
  static constexpr std::size_t kGram = 3;
  /// Places that are remembered; in longer sequences some are forgotten, those whose slot others take.
  static constexpr std::size_t kMostPlaces = std::size_t{1} << 16U;
  /// Longest pause, in guesses that would have been made.
  static constexpr std::uint32_t kLongestPause = 64;

  /// Takes note of the tokens that have come since the last call. `tokens`: the whole sequence, of which what was there
  /// before stays as it was.
  void advance(std::span<const TokenId> tokens);

  /// What may follow `tokens`, as advance() has last seen them: up to `most` tokens, of which each is right with a
  /// chance of `worth` or more, as far as is known. Empty: there is nothing, or it is not worth it.
  std::vector<TokenId> draft(std::span<const TokenId> tokens, std::uint32_t most, double worth);

  /// What became of the last draft: so many were made, and so many of the first of them were right.
  void judge(std::uint32_t drafted, std::uint32_t right);

 private:
  /// Matches of about one length.
  struct Class {
    double chance;            ///< that a guess is right
    std::uint32_t pause = 0;  ///< length of the last
    std::uint32_t rest = 0;   ///< what is left of it
  };

  void grow(std::span<const TokenId> tokens);
  std::uint32_t& slot(std::span<const TokenId> tokens, std::size_t last);
  /// Looks for a place like the end of tokens[0 … last].
  void look_up(std::span<const TokenId> tokens, std::size_t last);
  Class& current();

  std::vector<std::uint32_t> slots_;  ///< by hash of kGram tokens, what follows their latest place; 0: nothing
  std::size_t seen_ = 0;
  std::size_t next_ = 0;    ///< the place that is followed: what stands there should come next
  std::size_t length_ = 0;  ///< tokens before it that are those at the end; 0: none is followed
  std::array<Class, 3> classes_{{{0.5}, {0.7}, {0.9}}};
  std::size_t judged_ = 0;  ///< class of the last draft
};

}  // namespace headwater::schedule
