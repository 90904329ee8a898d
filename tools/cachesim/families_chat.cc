// Conversations: each turn's prompt begins with all turns before.

#include <map>

#include "tools/cachesim/families.h"
#include "tools/cachesim/trace_maker.h"

namespace headwater::cachesim {
namespace {

Trace multi_turn(unsigned seed) {
  TraceMaker make(seed);
  const Blocks system = make.fresh(2);
  std::vector<Blocks> conversations(60, system);
  for (int i = 0; i < 6000; ++i) {
    Blocks& conversation = conversations[make.below(60)];
    if (make.one_in(4)) conversation = system;
    make.extend(conversation, 1 + make.below(4));
    make.add(conversation);
  }
  return make.finish();
}

/// What follows a turn, and when, counted in requests.
struct Habits {
  std::size_t first = 10, turn = 4, longest = 100;  ///< blocks
  double pause = 100, spread = 1;                   ///< median, and its logarithm's deviation
  double stay = 0.6;                                ///< chance of another turn
  double stay_later = 0.6;                          ///< of conversations over 30 blocks
  std::size_t system = 0;                           ///< blocks that all begin with
  std::size_t requests = 7000;
};

Trace conversations(unsigned seed, const Habits& habits) {
  TraceMaker make(seed);
  const Blocks system = make.fresh(habits.system);
  std::multimap<double, Blocks> due;
  for (std::size_t i = 0; i < habits.requests; ++i) {
    Blocks blocks = system;
    if (!due.empty() && due.begin()->first <= static_cast<double>(i)) {
      blocks = std::move(due.extract(due.begin()).mapped());
    } else {
      make.extend(blocks, 1 + make.below(habits.first));
    }
    make.extend(blocks, 1 + make.below(habits.turn));
    make.add(blocks);
    const double stay = blocks.size() > 30 ? habits.stay_later : habits.stay;
    if (make.share() >= stay || blocks.size() >= habits.longest) continue;
    due.emplace(static_cast<double>(i) + 1 + make.lognormal(habits.pause, habits.spread), std::move(blocks));
  }
  return make.finish();
}

Trace chat_pauses(unsigned seed) { return conversations(seed, {}); }
Trace chat_long_pauses(unsigned seed) {
  return conversations(seed, {.first = 20, .turn = 8, .longest = 200, .pause = 800, .spread = 0.7, .stay_later = 0.8});
}
Trace chat_heavy_tail(unsigned seed) {
  return conversations(seed, {.first = 6, .pause = 40, .spread = 2.2, .stay = 0.75, .stay_later = 0.5, .system = 1});
}
Trace chat_short(unsigned seed) {
  return conversations(seed, {.first = 3, .turn = 2, .longest = 12, .pause = 150, .spread = 0.4, .stay = 0.5});
}
Trace chat_one_more(unsigned seed) {
  return conversations(seed, {.first = 40, .turn = 2, .longest = 300, .pause = 500, .spread = 1.2, .stay = 0.35});
}

/// Everybody comes back the next day, and goes on where he was.
Trace chat_daily(unsigned seed) {
  TraceMaker make(seed);
  const Blocks system = make.fresh(3);
  std::vector<Blocks> people(250, system);
  for (int day = 0; day < 4; ++day) {
    std::multimap<double, std::size_t> due;
    for (std::size_t p = 0; p < people.size(); ++p) due.emplace(1500 * make.share(), p);
    while (!due.empty()) {
      const double now = due.begin()->first;
      const std::size_t person = due.extract(due.begin()).mapped();
      Blocks& conversation = people[person];
      if (conversation.size() > 50) conversation = system;
      make.extend(conversation, 1 + make.below(3));
      make.add(conversation);
      if (!make.one_in(6)) due.emplace(now + make.exponential(30), person);
    }
  }
  return make.finish();
}

/// A window of the latest turns: where it moves, all of the prompt but its instructions is new.
Trace chat_window(unsigned seed) {
  TraceMaker make(seed);
  const Blocks system = make.fresh(2);
  std::vector<Blocks> conversations(50, system);
  for (int i = 0; i < 6000; ++i) {
    Blocks& conversation = conversations[make.below(50)];
    const std::size_t turn = 1 + make.below(3);
    if (conversation.size() + turn > 24) {
      conversation = system;
      make.extend(conversation, 12);
    }
    make.extend(conversation, turn);
    make.add(conversation);
  }
  return make.finish();
}

/// People ask for another answer: the same prompt once more, soon.
Trace chat_again(unsigned seed) {
  TraceMaker make(seed);
  std::vector<Blocks> conversations(40);
  for (int i = 0; i < 7000; ++i) {
    Blocks& conversation = conversations[make.below(40)];
    if (conversation.empty() || !make.one_in(3)) make.extend(conversation, 1 + make.below(5));
    make.add(conversation);
    if (make.one_in(7)) conversation.clear();
  }
  return make.finish();
}

constexpr Family kFamilies[] = {
    {"multi_turn", "conversations side by side", multi_turn},
    {"chat_pauses", "people take their time", chat_pauses},
    {"chat_long_pauses", "long conversations, long pauses", chat_long_pauses},
    {"chat_heavy_tail", "short pauses mostly, some very long", chat_heavy_tail},
    {"chat_short", "two or three turns", chat_short},
    {"chat_one_more", "long first prompts, of which a third is followed up", chat_one_more},
    {"chat_daily", "everybody comes back the next day", chat_daily},
    {"chat_window", "old turns are cut away", chat_window},
    {"chat_again", "answers are asked for anew", chat_again},
};

}  // namespace

std::span<const Family> chat_families() { return kFamilies; }

}  // namespace headwater::cachesim
