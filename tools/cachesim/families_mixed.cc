// Several kinds of work at once, or one after the other.

#include <algorithm>

#include "tools/cachesim/families.h"
#include "tools/cachesim/trace_maker.h"

namespace headwater::cachesim {
namespace {

/// Conversations side by side.
class Chats {
 public:
  Chats(TraceMaker& make, std::size_t alive, Blocks system = {})
      : make_(make), system_(std::move(system)), all_(alive, system_) {}
  void turn() {
    Blocks& one = all_[make_.below(all_.size())];
    if (one.size() > 60 || make_.one_in(6)) one = system_;
    make_.extend(one, 1 + make_.below(5));
    make_.add(one);
  }

 private:
  TraceMaker& make_;
  Blocks system_;
  std::vector<Blocks> all_;
};

Trace mixed(unsigned seed) {
  TraceMaker make(seed);
  const auto popular = make.documents(100, 6, 6), looped = make.documents(60, 4, 4);
  Chats chats(make, 40);
  std::size_t next = 0;
  for (int i = 0; i < 7000; ++i) {
    switch (make.below(4)) {
      case 0: {
        Blocks blocks = popular[make.popular(popular.size())];
        make.extend(blocks, 1);
        make.add(std::move(blocks));
        break;
      }
      case 1:
        make.add(looped[next++ % looped.size()]);
        break;
      default:
        chats.turn();
    }
  }
  return make.finish();
}

/// A loop, then documents at random, then conversations, and that twice.
Trace phases(unsigned seed) {
  TraceMaker make(seed);
  Chats chats(make, 50, make.fresh(2));
  for (int phase = 0; phase < 6; ++phase) {
    const auto all = make.documents(120, 5, 5);
    for (std::size_t i = 0; i < 1400; ++i) {
      if (phase % 3 == 2) {
        chats.turn();
      } else {
        make.add(all[phase % 3 == 0 ? i % all.size() : make.below(all.size())]);
      }
    }
  }
  return make.finish();
}

/// What rewards frequency, then what rewards recency, in turns.
Trace reversals(unsigned seed) {
  TraceMaker make(seed);
  const auto popular = make.documents(60, 4, 6);
  for (int phase = 0; phase < 8; ++phase) {
    std::vector<Blocks> latest;
    for (int i = 0; i < 900; ++i) {
      if (phase % 2 == 0) {
        make.add(make.one_in(2) ? popular[make.popular(popular.size())] : make.fresh(8));
        continue;
      }
      if (latest.size() > 40 && !make.one_in(3)) {
        make.add(latest[latest.size() - 1 - make.below(40)]);
      } else {
        latest.push_back(make.fresh(1 + make.below(10)));
        make.add(latest.back());
      }
    }
  }
  return make.finish();
}

/// Twenty customers of very different size, each with its own instructions and habits.
Trace tenants(unsigned seed) {
  TraceMaker make(seed);
  struct Tenant {
    Blocks system;
    std::vector<Blocks> documents;
    std::vector<Blocks> chats;
    std::size_t next = 0;
  };
  std::vector<Tenant> all(20);
  for (Tenant& tenant : all) {
    tenant.system = make.fresh(2 + make.below(8));
    tenant.documents = make.documents(5 + make.below(40), 2, 12);
    tenant.chats.assign(4 + make.below(12), tenant.system);
  }
  for (int i = 0; i < 7000; ++i) {
    const std::size_t who = make.popular(all.size());
    Tenant& tenant = all[who];
    if (who % 3 == 0) {
      Blocks& chat = tenant.chats[make.below(tenant.chats.size())];
      if (chat.size() > 40 || make.one_in(6)) chat = tenant.system;
      make.extend(chat, 1 + make.below(4));
      make.add(chat);
    } else {
      const std::size_t n = tenant.documents.size();
      const Blocks& document = tenant.documents[who % 3 == 1 ? make.popular(n) : tenant.next++ % n];
      Blocks blocks = document;
      make.extend(blocks, 1);
      make.add(std::move(blocks));
    }
  }
  return make.finish();
}

/// Chats by day; by night a batch reads the same documents in one order.
Trace night_batch(unsigned seed) {
  TraceMaker make(seed);
  const auto batch = make.documents(300, 5, 12);
  Chats chats(make, 60, make.fresh(3));
  for (int day = 0; day < 4; ++day) {
    for (int i = 0; i < 1300; ++i) chats.turn();
    for (const Blocks& document : batch) make.add(document);
  }
  return make.finish();
}

/// Chats in front of a batch that runs all the time and never asks twice.
Trace background_batch(unsigned seed) {
  TraceMaker make(seed);
  Chats chats(make, 40, make.fresh(2));
  const Blocks instructions = make.fresh(4);
  for (int i = 0; i < 6000; ++i) {
    if (make.one_in(2)) {
      chats.turn();
    } else {
      Blocks blocks = instructions;
      make.extend(blocks, 4 + make.below(16));
      make.add(std::move(blocks));
    }
  }
  return make.finish();
}

/// A few long prompts that are used seldom beside many short ones that are used often.
Trace long_and_short(unsigned seed) {
  TraceMaker make(seed);
  const auto brief = make.documents(250, 1, 3), lengthy = make.documents(40, 40, 80);
  for (int i = 0; i < 7000; ++i) {
    make.add(make.one_in(15) ? lengthy[make.below(lengthy.size())] : brief[make.popular(brief.size(), 0.7)]);
  }
  return make.finish();
}

/// Load grows: more and more conversations side by side.
Trace growing(unsigned seed) {
  TraceMaker make(seed);
  const Blocks system = make.fresh(2);
  std::vector<Blocks> all;
  for (int i = 0; i < 6000; ++i) {
    while (all.size() < 10 + static_cast<std::size_t>(i) / 30) all.push_back(system);
    Blocks& one = all[make.below(all.size())];
    if (one.size() > 40 || make.one_in(8)) one = system;
    make.extend(one, 1 + make.below(3));
    make.add(one);
  }
  return make.finish();
}

constexpr Family kFamilies[] = {
    {"mixed", "popular documents, a loop and chats at once", mixed},
    {"phases", "a loop, then random ones, then chats", phases},
    {"reversals", "frequency counts, then recency, in turns", reversals},
    {"tenants", "twenty customers with habits of their own", tenants},
    {"night_batch", "chats by day, a loop by night", night_batch},
    {"background_batch", "chats beside what never returns", background_batch},
    {"long_and_short", "short ones often, long ones seldom", long_and_short},
    {"growing", "more and more conversations", growing},
};

}  // namespace

std::span<const Family> mixed_families() { return kFamilies; }

}  // namespace headwater::cachesim
