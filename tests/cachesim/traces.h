#pragma once
// Traces of known character, made from a seed.

#include <cmath>
#include <map>
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
  void extend(std::vector<TokenId>& blocks, std::size_t n) {
    while (n-- > 0) blocks.push_back(fresh());
  }
  /// One of `n`, popular by 1/rank.
  std::size_t popular(std::size_t n) {
    return static_cast<std::size_t>(std::pow(static_cast<double>(n), below(10000) / 10000.0)) - 1;
  }
  /// `n` lists of `least` … `most` new blocks.
  std::vector<std::vector<TokenId>> documents(std::size_t n, std::size_t least, std::size_t most) {
    std::vector<std::vector<TokenId>> all;
    while (all.size() < n) all.push_back(fresh(least + (most > least ? below(most - least + 1) : 0)));
    return all;
  }
  void add(std::vector<TokenId> blocks) {
    trace_.total_blocks += blocks.size();
    trace_.requests.push_back({static_cast<TimeNs>(trace_.requests.size()) * 1'000'000, std::move(blocks)});
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
    make.extend(conversation, 1 + make.below(4));
    make.add(conversation);
  }
  return make.finish();
}

/// Every request begins with one of some system prompts, popular by 1/rank, and ends with something of its own.
inline Trace shared_prompts(unsigned seed, std::size_t prompts = 60, std::size_t requests = 6000) {
  TraceMaker make(seed);
  const auto all = make.documents(prompts, 3, 10);
  for (std::size_t i = 0; i < requests; ++i) {
    auto blocks = all[make.popular(prompts)];
    make.extend(blocks, 1 + make.below(5));
    make.add(std::move(blocks));
  }
  return make.finish();
}

/// The same documents again and again in the same order.
inline Trace loop(unsigned seed, std::size_t documents = 100, std::size_t requests = 4000) {
  TraceMaker make(seed);
  const auto all = make.documents(documents, 5, 5);
  for (std::size_t i = 0; i < requests; ++i) make.add(all[i % documents]);
  return make.finish();
}

/// Documents at random, all equally likely.
inline Trace uniform(unsigned seed, std::size_t documents = 200, std::size_t requests = 6000) {
  TraceMaker make(seed);
  const auto all = make.documents(documents, 5, 5);
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
  const auto all = make.documents(documents, 4, 4);
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
    if (i % 1000 == 0) all = make.documents(50, 5, 5);
    make.add(make.below(4) == 0 ? make.fresh(5) : all[make.below(all.size())]);
  }
  return make.finish();
}

/// Agents that go on for some ten steps after one of some long system prompts, popular by 1/rank, `alive` at a time.
inline Trace agents(unsigned seed, std::size_t prompts = 100, std::size_t alive = 40, std::size_t requests = 8000) {
  TraceMaker make(seed);
  const auto system = make.documents(prompts, 4, 15);
  std::vector<std::vector<TokenId>> running(alive);
  for (auto& agent : running) agent = system[make.below(prompts)];
  for (std::size_t i = 0; i < requests; ++i) {
    auto& agent = running[make.below(alive)];
    make.extend(agent, 1 + make.below(3));
    make.add(agent);
    if (make.below(8) == 0 || agent.size() > 80) agent = system[make.popular(prompts)];
  }
  return make.finish();
}

/// Long documents, each of which is asked about once to six times within a while, and never again.
inline Trace document_questions(unsigned seed, std::size_t requests = 8000) {
  struct Document {
    std::vector<TokenId> blocks;
    std::uint32_t questions;
  };
  TraceMaker make(seed);
  std::vector<Document> open;
  for (std::size_t i = 0; i < requests; ++i) {
    if (open.size() < 50 || make.below(3) == 0) {
      open.push_back({make.fresh(5 + make.below(30)), 1 + make.below(6)});
    }
    const std::size_t asked = make.below(open.size());
    auto blocks = open[asked].blocks;
    make.extend(blocks, 1 + make.below(2));
    make.add(std::move(blocks));
    if (--open[asked].questions == 0) open.erase(open.begin() + static_cast<std::ptrdiff_t>(asked));
  }
  return make.finish();
}

/// One system prompt, and nothing else that returns.
inline Trace one_shot(unsigned seed, std::size_t requests = 6000) {
  TraceMaker make(seed);
  const auto system = make.fresh(3);
  for (std::size_t i = 0; i < requests; ++i) {
    auto blocks = system;
    make.extend(blocks, 2 + make.below(20));
    make.add(std::move(blocks));
  }
  return make.finish();
}

/// Popular documents, a loop and conversations at once.
inline Trace mixed(unsigned seed, std::size_t requests = 9000) {
  TraceMaker make(seed);
  const auto popular = make.documents(100, 6, 6), looped = make.documents(60, 4, 4);
  std::vector<std::vector<TokenId>> conversations(40);
  std::size_t next = 0;
  for (std::size_t i = 0; i < requests; ++i) {
    const std::uint32_t kind = make.below(4);
    if (kind == 0) {
      auto blocks = popular[make.popular(popular.size())];
      make.extend(blocks, 1);
      make.add(std::move(blocks));
    } else if (kind == 1) {
      make.add(looped[next++ % looped.size()]);
    } else {
      auto& conversation = conversations[make.below(conversations.size())];
      if (conversation.size() > 60 || make.below(6) == 0) conversation.clear();
      make.extend(conversation, 1 + make.below(5));
      make.add(conversation);
    }
  }
  return make.finish();
}

/// A loop, then documents at random, then conversations, and that twice.
inline Trace phases(unsigned seed) {
  TraceMaker make(seed);
  const auto system = make.fresh(2);
  std::vector<std::vector<TokenId>> conversations(50, system);
  for (std::size_t phase = 0; phase < 6; ++phase) {
    const auto all = make.documents(120, 5, 5);
    for (std::size_t i = 0; i < 1800; ++i) {
      if (phase % 3 < 2) {
        make.add(all[phase % 3 == 0 ? i % all.size() : make.below(all.size())]);
        continue;
      }
      auto& conversation = conversations[make.below(conversations.size())];
      if (make.below(5) == 0) conversation = system;
      make.extend(conversation, 1 + make.below(4));
      make.add(conversation);
    }
  }
  return make.finish();
}

/// Two of three requests repeat one of the latest thirty.
inline Trace repeats(unsigned seed, std::size_t requests = 9000) {
  TraceMaker make(seed);
  std::vector<std::vector<TokenId>> all;
  for (std::size_t i = 0; i < requests; ++i) {
    if (all.size() > 30 && make.below(3) != 0) {
      all.push_back(all[all.size() - 1 - make.below(30)]);
    } else {
      all.push_back(make.fresh(1 + make.below(12)));
    }
    make.add(all.back());
  }
  return make.finish();
}

/// Conversations of people who take their time: `requests` after the last turn another follows, or none.
struct Pauses {
  std::uint32_t least = 20, most = 420;
  std::uint32_t long_one = 1000;  ///< one pause in five takes that much longer
  std::size_t first = 10, turn = 4, longest = 100;
  std::uint32_t stay = 4, stay_later = 4;  ///< of ten, that go on: of short conversations, of those over 30 blocks
  std::size_t requests = 9000;
};
inline Trace pauses(unsigned seed, const Pauses& kind = {}) {
  TraceMaker make(seed);
  std::multimap<std::size_t, std::vector<TokenId>> due;
  for (std::size_t i = 0; i < kind.requests; ++i) {
    std::vector<TokenId> blocks;
    if (!due.empty() && due.begin()->first <= i) {
      blocks = std::move(due.extract(due.begin()).mapped());
    } else {
      blocks = make.fresh(2 + make.below(kind.first));
    }
    make.extend(blocks, 1 + make.below(kind.turn));
    make.add(blocks);
    const std::uint32_t stay = blocks.size() > 30 ? kind.stay_later : kind.stay;
    if (make.below(10) >= stay || blocks.size() >= kind.longest) continue;
    const std::size_t pause = kind.least + make.below(kind.most - kind.least);
    due.emplace(i + pause + (make.below(5) == 0 ? kind.long_one : 0), std::move(blocks));
  }
  return make.finish();
}

}  // namespace headwater::cachesim
