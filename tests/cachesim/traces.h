#pragma once
// Traces of known character, made from a seed.

#include <cmath>
#include <random>
#include <vector>

#include "tools/cachesim/trace.h"

namespace headwater::cachesim {

class TraceMaker {
 public:
  explicit TraceMaker(unsigned seed) : random_(seed) {}

  std::uint32_t below(std::size_t n) { return static_cast<std::uint32_t>(random_() % n); }
  TokenId fresh() { return static_cast<TokenId>(trace_.distinct_blocks++); }
  std::vector<TokenId> fresh(std::size_t n) {
    std::vector<TokenId> blocks;
    while (blocks.size() < n) blocks.push_back(fresh());
    return blocks;
  }
  void add(std::vector<TokenId> blocks) {
    trace_.total_blocks += blocks.size();
    trace_.requests.push_back({static_cast<schedule::TimeNs>(trace_.requests.size()) * 1'000'000, std::move(blocks)});
  }
  Trace finish() { return std::move(trace_); }

 private:
  std::mt19937 random_;
  Trace trace_;
};

/// Conversations that grow by a few blocks each turn, `alive` at a time; half of the turns end one.
inline Trace multi_turn(unsigned seed, std::size_t alive = 60, std::size_t requests = 6000) {
  TraceMaker make(seed);
  const auto system = make.fresh(2);
  std::vector<std::vector<TokenId>> conversations(alive, system);
  for (std::size_t i = 0; i < requests; ++i) {
    auto& conversation = conversations[make.below(alive)];
    if (make.below(4) == 0) conversation = system;
    for (const TokenId block : make.fresh(1 + make.below(4))) conversation.push_back(block);
    make.add(conversation);
  }
  return make.finish();
}

/// Every request begins with one of some system prompts, popular by 1/rank, and ends with something of its own.
inline Trace shared_prompts(unsigned seed, std::size_t prompts = 60, std::size_t requests = 6000) {
  TraceMaker make(seed);
  std::vector<std::vector<TokenId>> all;
  while (all.size() < prompts) all.push_back(make.fresh(3 + make.below(8)));
  for (std::size_t i = 0; i < requests; ++i) {
    const double part = std::pow(static_cast<double>(prompts), make.below(10000) / 10000.0);
    auto blocks = all[static_cast<std::size_t>(part) - 1];
    for (const TokenId block : make.fresh(1 + make.below(5))) blocks.push_back(block);
    make.add(std::move(blocks));
  }
  return make.finish();
}

/// The same documents again and again in the same order.
inline Trace loop(unsigned seed, std::size_t documents = 100, std::size_t requests = 4000) {
  TraceMaker make(seed);
  std::vector<std::vector<TokenId>> all;
  while (all.size() < documents) all.push_back(make.fresh(5));
  for (std::size_t i = 0; i < requests; ++i) make.add(all[i % documents]);
  return make.finish();
}

/// Documents at random, all equally likely.
inline Trace uniform(unsigned seed, std::size_t documents = 200, std::size_t requests = 6000) {
  TraceMaker make(seed);
  std::vector<std::vector<TokenId>> all;
  while (all.size() < documents) all.push_back(make.fresh(5));
  for (std::size_t i = 0; i < requests; ++i) make.add(all[make.below(documents)]);
  return make.finish();
}

/// What was used lately is used again: documents by their place in the order of last use, near ones far likelier.
inline Trace recency(unsigned seed, std::size_t documents = 400, std::size_t requests = 8000) {
  TraceMaker make(seed);
  std::vector<std::vector<TokenId>> latest;
  for (std::size_t i = 0; i < requests; ++i) {
    const double distance = -60 * std::log((make.below(10000) + 1) / 10001.0);
    std::vector<TokenId> blocks;
    if (distance < static_cast<double>(latest.size())) {
      const auto found = latest.begin() + static_cast<std::ptrdiff_t>(distance);
      blocks = *found;
      latest.erase(found);
    } else {
      blocks = make.fresh(5);
    }
    make.add(blocks);
    latest.insert(latest.begin(), std::move(blocks));
    if (latest.size() > documents) latest.pop_back();
  }
  return make.finish();
}

/// Popular documents, between which long ones pass that never return.
inline Trace scans(unsigned seed, std::size_t documents = 40, std::size_t requests = 6000) {
  TraceMaker make(seed);
  std::vector<std::vector<TokenId>> all;
  while (all.size() < documents) all.push_back(make.fresh(4));
  for (std::size_t i = 0; i < requests; ++i) {
    make.add(make.below(3) == 0 ? make.fresh(12) : all[make.below(documents)]);
  }
  return make.finish();
}

/// What is popular changes every so often.
inline Trace shifting(unsigned seed, std::size_t requests = 8000) {
  TraceMaker make(seed);
  std::vector<std::vector<TokenId>> all;
  for (std::size_t i = 0; i < requests; ++i) {
    if (i % 1000 == 0) {
      all.clear();
      while (all.size() < 50) all.push_back(make.fresh(5));
    }
    make.add(make.below(4) == 0 ? make.fresh(5) : all[make.below(all.size())]);
  }
  return make.finish();
}

}  // namespace headwater::cachesim
