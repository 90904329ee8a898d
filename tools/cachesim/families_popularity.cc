// Texts that are wanted by many, more or less, and what becomes of that.

#include <algorithm>
#include <cmath>

#include "tools/cachesim/families.h"
#include "tools/cachesim/trace_maker.h"

namespace headwater::cachesim {
namespace {

Trace shared_prompts(unsigned seed) {
  TraceMaker make(seed);
  const auto all = make.documents(60, 3, 10);
  for (int i = 0; i < 6000; ++i) {
    Blocks blocks = all[make.popular(all.size())];
    make.extend(blocks, 1 + make.below(5));
    make.add(std::move(blocks));
  }
  return make.finish();
}

Trace zipf(unsigned seed, std::size_t documents, double skew, std::size_t requests) {
  TraceMaker make(seed);
  const auto all = make.documents(documents, 3, 7);
  for (std::size_t i = 0; i < requests; ++i) make.add(all[make.popular(documents, skew)]);
  return make.finish();
}
Trace zipf_flat(unsigned seed) { return zipf(seed, 1500, 0.6, 8000); }
Trace zipf_steep(unsigned seed) { return zipf(seed, 3000, 1.2, 8000); }
Trace uniform(unsigned seed) { return zipf(seed, 200, 0, 6000); }
Trace uniform_many(unsigned seed) { return zipf(seed, 2000, 0, 7000); }

/// Ranks move: every so often a document changes places with another.
Trace zipf_drift(unsigned seed) {
  TraceMaker make(seed);
  auto all = make.documents(600, 3, 7);
  for (int i = 0; i < 8000; ++i) {
    if (i % 4 == 0) std::swap(all[make.popular(all.size())], all[make.below(all.size())]);
    make.add(all[make.popular(all.size(), 0.9)]);
  }
  return make.finish();
}

/// What was used lately is used again: by the place in the order of last use, near ones far likelier.
Trace recency(unsigned seed) {
  TraceMaker make(seed);
  std::vector<Blocks> latest;
  for (int i = 0; i < 7000; ++i) {
    const double distance = make.exponential(60);
    Blocks blocks;
    if (distance < static_cast<double>(latest.size())) {
      const auto found = latest.begin() + static_cast<std::ptrdiff_t>(distance);
      blocks = *found;
      latest.erase(found);
    } else {
      blocks = make.fresh(5);
    }
    make.add(blocks);
    latest.insert(latest.begin(), std::move(blocks));
    if (latest.size() > 400) latest.pop_back();
  }
  return make.finish();
}

/// Popular documents, between which long ones pass that never return.
Trace scans(unsigned seed) {
  TraceMaker make(seed);
  const auto all = make.documents(40, 4, 4);
  for (int i = 0; i < 6000; ++i) make.add(make.one_in(3) ? make.fresh(12) : all[make.below(all.size())]);
  return make.finish();
}

/// What is popular changes all at once, every so often.
Trace shifting(unsigned seed) {
  TraceMaker make(seed);
  std::vector<Blocks> all;
  for (int i = 0; i < 8000; ++i) {
    if (i % 1000 == 0) all = make.documents(50, 5, 5);
    make.add(make.one_in(4) ? make.fresh(5) : all[make.below(all.size())]);
  }
  return make.finish();
}

/// A document comes up, is wanted by many for a while, and is forgotten.
Trace bursts(unsigned seed) {
  TraceMaker make(seed);
  struct Topic {
    Blocks blocks;
    double heat;
  };
  std::vector<Topic> topics;
  for (int i = 0; i < 7000; ++i) {
    if (topics.empty() || make.one_in(12)) topics.push_back({make.fresh(3 + make.below(8)), make.lognormal(1, 1)});
    double sum = 0;
    for (Topic& topic : topics) sum += topic.heat *= 0.997;
    double at = sum * make.share();
    std::size_t one = 0;
    while (one + 1 < topics.size() && at >= topics[one].heat) at -= topics[one++].heat;
    Blocks blocks = topics[one].blocks;
    make.extend(blocks, 1);
    make.add(std::move(blocks));
    std::erase_if(topics, [](const Topic& topic) { return topic.heat < 0.003; });
  }
  return make.finish();
}

/// Chats, and now and then something that everybody asks about for a short time.
Trace flash_crowd(unsigned seed) {
  TraceMaker make(seed);
  std::vector<Blocks> chats(60);
  Blocks talk;
  int crowd = 0;
  for (int i = 0; i < 7000; ++i) {
    if (i % 900 == 450) {
      talk = make.fresh(20);
      crowd = 250;
    }
    if (crowd > 0 && !make.one_in(4)) {
      --crowd;
      Blocks blocks = talk;
      make.extend(blocks, 1 + make.below(3));
      make.add(std::move(blocks));
      continue;
    }
    Blocks& chat = chats[make.below(chats.size())];
    if (chat.size() > 40 || make.one_in(7)) chat.clear();
    make.extend(chat, 1 + make.below(4));
    make.add(chat);
  }
  return make.finish();
}

/// One system prompt, and nothing else that returns.
Trace one_shot(unsigned seed) {
  TraceMaker make(seed);
  const Blocks system = make.fresh(3);
  for (int i = 0; i < 5000; ++i) {
    Blocks blocks = system;
    make.extend(blocks, 2 + make.below(18));
    make.add(std::move(blocks));
  }
  return make.finish();
}

/// Two of three requests repeat one of the latest thirty.
Trace repeats(unsigned seed) {
  TraceMaker make(seed);
  std::vector<Blocks> all;
  for (int i = 0; i < 8000; ++i) {
    if (all.size() > 30 && !make.one_in(3)) {
      all.push_back(all[all.size() - 1 - make.below(30)]);
    } else {
      all.push_back(make.fresh(1 + make.below(12)));
    }
    make.add(all.back());
  }
  return make.finish();
}

/// What was used once is used a second time after a while, and never a third time.
Trace twice(unsigned seed) {
  TraceMaker make(seed);
  std::vector<Blocks> waiting;
  for (int i = 0; i < 6000; ++i) {
    if (waiting.size() > 150 && make.one_in(2)) {
      const std::size_t one = make.below(waiting.size());
      std::swap(waiting[one], waiting.back());
      make.add(std::move(waiting.back()));
      waiting.pop_back();
    } else {
      waiting.push_back(make.fresh(2 + make.below(10)));
      make.add(waiting.back());
    }
  }
  return make.finish();
}

constexpr Family kFamilies[] = {
    {"shared_prompts", "system prompts before something new", shared_prompts},
    {"zipf_flat", "documents, popular by 1/rank^0.6", zipf_flat},
    {"zipf_steep", "documents, popular by 1/rank^1.2", zipf_steep},
    {"uniform", "documents, all alike", uniform},
    {"uniform_many", "ten times as many", uniform_many},
    {"zipf_drift", "ranks that move", zipf_drift},
    {"recency", "what was used lately", recency},
    {"scans", "popular ones among long ones that never return", scans},
    {"shifting", "what is popular changes at once", shifting},
    {"bursts", "topics that come up and are forgotten", bursts},
    {"flash_crowd", "chats, and what everybody asks for a while", flash_crowd},
    {"one_shot", "one system prompt before what never returns", one_shot},
    {"repeats", "the latest thirty requests again", repeats},
    {"twice", "each a second time, and never again", twice},
};

}  // namespace

std::span<const Family> popularity_families() { return kFamilies; }

}  // namespace headwater::cachesim
