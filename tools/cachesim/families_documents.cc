// Long texts, and what is asked about them.

#include <algorithm>
#include <utility>

#include "tools/cachesim/families.h"
#include "tools/cachesim/trace_maker.h"

namespace headwater::cachesim {
namespace {

/// Each document is asked about once to six times within a while, and never again.
Trace document_questions(unsigned seed) {
  TraceMaker make(seed);
  std::vector<std::pair<Blocks, std::uint32_t>> open;
  for (int i = 0; i < 5000; ++i) {
    if (open.size() < 50 || make.one_in(3)) open.emplace_back(make.fresh(5 + make.below(30)), 1 + make.below(6));
    const std::size_t asked = make.below(open.size());
    Blocks blocks = open[asked].first;
    make.extend(blocks, 1 + make.below(2));
    make.add(std::move(blocks));
    if (--open[asked].second == 0) open.erase(open.begin() + static_cast<std::ptrdiff_t>(asked));
  }
  return make.finish();
}

/// Gives each of `groups` its requests in their order, all shuffled together.
void add_shuffled(TraceMaker& make, std::vector<std::vector<Blocks>> groups) {
  std::vector<std::size_t> turns;
  for (std::size_t g = 0; g < groups.size(); ++g) turns.insert(turns.end(), groups[g].size(), g);
  for (std::size_t i = turns.size(); i > 1; --i) std::swap(turns[i - 1], turns[make.below(i)]);
  std::vector<std::size_t> next(groups.size());
  for (const std::size_t g : turns) make.add(groups[g][next[g]++]);
}

/// A benchmark's questions in any order: whatever is asked about a document, it may be long until then.
Trace shuffled_questions(unsigned seed) {
  TraceMaker make(seed);
  std::vector<std::vector<Blocks>> groups;
  for (int d = 0; d < 700; ++d) {
    const Blocks document = make.fresh(3 + make.below(25));
    auto& group = groups.emplace_back();
    for (std::size_t q = 1 + make.below(9); q > 0; --q) {
      group.push_back(document);
      make.extend(group.back(), 1);
    }
  }
  add_shuffled(make, std::move(groups));
  return make.finish();
}

/// Short conversations and questions on long documents, in any order.
Trace shuffled_mix(unsigned seed) {
  TraceMaker make(seed);
  std::vector<std::vector<Blocks>> groups;
  for (int d = 0; d < 1100; ++d) {
    auto& group = groups.emplace_back();
    if (make.one_in(4)) {
      const Blocks document = make.fresh(20 + make.below(40));
      for (std::size_t q = 2 + make.below(4); q > 0; --q) {
        group.push_back(document);
        make.extend(group.back(), 1);
      }
    } else {
      Blocks chat;
      for (std::size_t t = 1 + make.below(7); t > 0; --t) {
        make.extend(chat, 1 + make.below(3));
        group.push_back(chat);
      }
    }
  }
  add_shuffled(make, std::move(groups));
  return make.finish();
}

/// Retrieved passages, popular by 1/rank. `sorted`: in the library's order, so that prompts agree further.
Trace retrieval(unsigned seed, bool sorted) {
  TraceMaker make(seed);
  const Blocks system = make.fresh(2);
  constexpr std::size_t kPassages = 60;
  // A passage has the same key only after the same passages before it.
  struct Node {
    std::vector<std::pair<std::size_t, std::size_t>> after;  ///< passage, node
    Blocks blocks;
  };
  std::vector<Node> nodes(1);
  for (int i = 0; i < 5000; ++i) {
    std::vector<std::size_t> chosen;
    while (chosen.size() < 3) {
      const std::size_t one = make.popular(kPassages);
      if (std::ranges::find(chosen, one) == chosen.end()) chosen.push_back(one);
    }
    if (sorted) std::ranges::sort(chosen);
    Blocks blocks = system;
    std::size_t node = 0;
    for (const std::size_t passage : chosen) {
      const auto found = std::ranges::find(nodes[node].after, passage, &std::pair<std::size_t, std::size_t>::first);
      std::size_t next = nodes.size();
      if (found != nodes[node].after.end()) {
        next = found->second;
      } else {
        nodes[node].after.emplace_back(passage, next);
        nodes.push_back({{}, make.fresh(2 + passage % 3)});
      }
      node = next;
      blocks.insert(blocks.end(), nodes[node].blocks.begin(), nodes[node].blocks.end());
    }
    make.extend(blocks, 1);
    make.add(std::move(blocks));
  }
  return make.finish();
}
Trace retrieval_shuffled(unsigned seed) { return retrieval(seed, false); }
Trace retrieval_sorted(unsigned seed) { return retrieval(seed, true); }

/// Templates with examples: a task's instructions, some of its examples, and a question.
Trace few_shot(unsigned seed) {
  TraceMaker make(seed);
  std::vector<std::vector<Blocks>> tasks;  // of each, variants with more and more examples
  for (int t = 0; t < 60; ++t) {
    auto& variants = tasks.emplace_back();
    Blocks blocks = make.fresh(2 + make.below(3));
    for (int v = 0; v < 4; ++v) {
      variants.push_back(blocks);
      make.extend(blocks, 2 + make.below(5));
    }
  }
  for (int i = 0; i < 6000; ++i) {
    const auto& variants = tasks[make.popular(tasks.size(), 0.9)];
    Blocks blocks = variants[make.below(variants.size())];
    make.extend(blocks, 1 + make.below(2));
    make.add(std::move(blocks));
  }
  return make.finish();
}

/// An evaluation: one question after the other, each after the examples of its subject, and all of that thrice.
Trace evaluation(unsigned seed) {
  TraceMaker make(seed);
  std::vector<Blocks> prompts;
  for (int s = 0; s < 40; ++s) {
    const Blocks examples = make.fresh(5 + make.below(8));
    for (std::size_t q = 20 + make.below(40); q > 0; --q) {
      prompts.push_back(examples);
      make.extend(prompts.back(), 1);
    }
  }
  for (int run = 0; run < 3; ++run) {
    for (const Blocks& prompt : prompts) make.add(prompt);
  }
  return make.finish();
}

/// The same documents again and again in the same order.
Trace loop(unsigned seed) {
  TraceMaker make(seed);
  const auto all = make.documents(100, 4, 6);
  for (std::size_t i = 0; i < 4000; ++i) make.add(all[i % all.size()]);
  return make.finish();
}

/// A short loop within a long one.
Trace two_loops(unsigned seed) {
  TraceMaker make(seed);
  const auto often = make.documents(40, 4, 6), seldom = make.documents(160, 4, 6);
  for (std::size_t i = 0; i < 3000; ++i) {
    make.add(often[i % often.size()]);
    make.add(seldom[i % seldom.size()]);
  }
  return make.finish();
}

/// A long manual is read chapter by chapter: each prompt is all up to there; then the next manual.
Trace reading(unsigned seed) {
  TraceMaker make(seed);
  std::vector<std::pair<Blocks, std::size_t>> readers(15, {{}, 1});
  for (int i = 0; i < 4500; ++i) {
    auto& [book, at] = readers[make.below(readers.size())];
    if (at >= book.size()) {
      book = make.fresh(30 + make.below(60));
      at = 1 + make.below(5);
    }
    make.add({book.begin(), book.begin() + static_cast<std::ptrdiff_t>(at)});
    at += 1 + make.below(5);
  }
  return make.finish();
}

constexpr Family kFamilies[] = {
    {"document_questions", "some questions on each, then never again", document_questions},
    {"shuffled_questions", "the same in any order", shuffled_questions},
    {"shuffled_mix", "short chats and long documents in any order", shuffled_mix},
    {"retrieval_shuffled", "popular passages in any order", retrieval_shuffled},
    {"retrieval_sorted", "popular passages in one order", retrieval_sorted},
    {"few_shot", "templates with examples", few_shot},
    {"evaluation", "a benchmark, three times over", evaluation},
    {"loop", "one order, again and again", loop},
    {"two_loops", "a short one and a long one", two_loops},
    {"reading", "books, chapter by chapter", reading},
};

}  // namespace

std::span<const Family> document_families() { return kFamilies; }

}  // namespace headwater::cachesim
