#pragma once
// Requests that come to a simulation at random times and want random things.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "tests/support/serving_simulation.h"

namespace headwater::test {

/// A prompt of one of a few families, so that prefixes are shared often.
inline std::vector<TokenId> family_prompt(std::mt19937_64& random, std::size_t max_size) {
  const std::size_t size = 1 + random() % max_size;
  const auto family = static_cast<TokenId>(random() % 3);
  const std::size_t common = random() % (size + 1);
  std::vector<TokenId> tokens;
  for (std::size_t i = 0; i < size; ++i) {
    tokens.push_back(i < common ? family * 100 + static_cast<TokenId>(i) : static_cast<TokenId>(random() % 40));
  }
  return tokens;
}

struct ScatterLimits {
  std::uint32_t prompt = std::numeric_limits<std::uint32_t>::max();  ///< tokens; fewer than that
  std::uint32_t answer = std::numeric_limits<std::uint32_t>::max();  ///< tokens
  std::uint64_t pause = 60;  ///< messages delivered between two requests; fewer than that
};

/// Requests that arrive, are cancelled and fail at random; none needs more than the pool.
inline void scatter(ServingSimulation& simulation, std::uint32_t requests, std::uint32_t pool_tokens,
                    const ScatterLimits& limits = {}) {
  auto& random = simulation.random();
  for (std::uint32_t i = 0; i < requests; ++i) {
    auto tokens = family_prompt(random, std::min(pool_tokens, limits.prompt) - 1);
    const auto room = std::min(static_cast<std::uint32_t>(pool_tokens - tokens.size()), limits.answer);
    const bool scores = random() % 12 == 0;
    const auto max_new = scores && random() % 2 == 0 ? 0 : static_cast<std::uint32_t>(1 + random() % room);
    const RequestId id =
        simulation.submit(random() % 4, std::move(tokens), max_new, random() % 3 == 0 ? "b" : "a", scores);
    if (random() % 40 == 0) simulation.fail(id);
    for (std::uint64_t n = random() % limits.pause; n > 0 && simulation.deliver(); --n) {
    }
    if (random() % 8 == 0) simulation.cancel(1 + random() % id);
  }
}

}  // namespace headwater::test
