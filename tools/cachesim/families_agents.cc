// Programs that ask: agents, searches, editors, monitors.

#include <algorithm>
#include <cmath>
#include <map>

#include "tools/cachesim/families.h"
#include "tools/cachesim/trace_maker.h"

namespace headwater::cachesim {
namespace {

/// Agents that go on for some ten steps after one of some long system prompts, `alive` at a time.
Trace agents_of(unsigned seed, std::size_t prompts, std::size_t alive, std::size_t requests) {
  TraceMaker make(seed);
  const auto system = make.documents(prompts, 4, 15);
  std::vector<Blocks> running(alive);
  for (Blocks& agent : running) agent = system[make.below(prompts)];
  for (std::size_t i = 0; i < requests; ++i) {
    Blocks& agent = running[make.below(alive)];
    make.extend(agent, 1 + make.below(3));
    make.add(agent);
    if (make.one_in(8) || agent.size() > 60) agent = system[make.popular(prompts)];
  }
  return make.finish();
}
Trace agents(unsigned seed) { return agents_of(seed, 100, 40, 5000); }
Trace many_agents(unsigned seed) { return agents_of(seed, 1000, 300, 6000); }

/// An agent hands parts of its work to others, which begin with what it knows; then it goes on.
Trace sub_agents(unsigned seed) {
  TraceMaker make(seed);
  const auto tools = make.documents(12, 6, 12);
  std::multimap<double, Blocks> due;
  for (int i = 0; i < 5000; ++i) {
    Blocks blocks;
    if (!due.empty() && due.begin()->first <= i) {
      blocks = std::move(due.extract(due.begin()).mapped());
    } else {
      blocks = tools[make.popular(tools.size())];
    }
    make.extend(blocks, 1 + make.below(3));
    make.add(blocks);
    if (blocks.size() > 50 || make.one_in(9)) continue;
    const std::size_t children = make.one_in(6) ? 4 : 1;
    for (std::size_t c = 0; c < children; ++c) due.emplace(i + make.exponential(25 + 40.0 * c), blocks);
  }
  return make.finish();
}

/// A search over thoughts: of each node some children are tried, the best are gone on with, the others never again.
Trace tree_of_thought(unsigned seed) {
  TraceMaker make(seed);
  const Blocks instructions = make.fresh(4);
  struct Search {
    std::vector<Blocks> beam;
    int depth = 0;
  };
  std::vector<Search> searches(12);
  while (make.requests() < 6000) {
    Search& search = searches[make.below(searches.size())];
    if (search.beam.empty() || search.depth == 6) {
      Blocks task = instructions;
      make.extend(task, 2 + make.below(8));
      search = {{task}, 0};
    }
    std::vector<Blocks> next;
    for (const Blocks& thought : search.beam) {
      for (int child = 0; child < 4; ++child) {
        Blocks one = thought;
        make.extend(one, 1);
        make.add(one);
        if (make.one_in(3)) next.push_back(std::move(one));
      }
    }
    if (next.size() > 3) next.resize(3);
    search = {next, search.depth + 1};
  }
  return make.finish();
}

/// Each prompt eight times, one after the other, and then never again.
Trace self_consistency(unsigned seed) {
  TraceMaker make(seed);
  const Blocks instructions = make.fresh(3);
  std::vector<std::pair<Blocks, int>> open;
  for (int i = 0; i < 7000; ++i) {
    if (open.size() < 10) {
      Blocks task = instructions;
      make.extend(task, 4 + make.below(12));
      open.emplace_back(task, 8);
    }
    const std::size_t one = make.below(open.size());
    make.add(open[one].first);
    if (--open[one].second == 0) open.erase(open.begin() + static_cast<std::ptrdiff_t>(one));
  }
  return make.finish();
}

/// Files are edited somewhere, mostly near where they were before, and asked about: what comes before stays.
Trace code_editing(unsigned seed) {
  TraceMaker make(seed);
  struct File {
    Blocks blocks;
    std::size_t cursor;
  };
  std::vector<File> files;
  for (int i = 0; i < 60; ++i) files.push_back({make.fresh(10 + make.below(40)), 5});
  std::size_t current = 0;
  for (int i = 0; i < 4500; ++i) {
    if (make.one_in(12)) current = make.popular(files.size(), 0.8);
    File& file = files[current];
    if (make.one_in(3)) file.cursor = make.below(file.blocks.size());
    file.blocks.resize(file.cursor);
    make.extend(file.blocks, std::max<std::size_t>(10, file.cursor + 3) - file.cursor + make.below(10));
    file.cursor = std::min(file.cursor + make.below(2), file.blocks.size() - 1);
    make.add(file.blocks);
  }
  return make.finish();
}

/// Editors that complete: a project's context and the file so far, which grows between requests that follow closely.
Trace code_completion(unsigned seed) {
  TraceMaker make(seed);
  const auto projects = make.documents(80, 4, 20);
  std::vector<Blocks> open(25);
  for (Blocks& file : open) file = projects[make.popular(projects.size())];
  for (int i = 0; i < 6000; ++i) {
    Blocks& file = open[make.popular(open.size(), 0.7)];
    if (make.one_in(4)) make.extend(file, 1);
    Blocks prompt = file;
    make.extend(prompt, 1);
    make.add(std::move(prompt));
    if (make.one_in(20)) file = projects[make.popular(projects.size())];
  }
  return make.finish();
}

/// Monitors that ask at their own interval with a history that grows and is cut.
Trace monitors(unsigned seed) {
  TraceMaker make(seed);
  const Blocks instructions = make.fresh(3);
  struct Monitor {
    Blocks history;
    double every;
  };
  std::vector<Monitor> all;
  std::multimap<double, std::size_t> due;
  for (std::size_t i = 0; i < 150; ++i) {
    Blocks history = instructions;
    make.extend(history, 2 + make.below(6));
    all.push_back({history, 40 * std::pow(20, make.share())});
    due.emplace(all.back().every * make.share(), i);
  }
  while (make.requests() < 6000) {
    const double now = due.begin()->first;
    const std::size_t i = due.extract(due.begin()).mapped();
    Monitor& one = all[i];
    if (one.history.size() > 24) {
      one.history = instructions;
      make.extend(one.history, 4);
    }
    make.extend(one.history, 1);
    make.add(one.history);
    due.emplace(now + one.every, i);
  }
  return make.finish();
}

constexpr Family kFamilies[] = {
    {"agents", "some ten steps after a system prompt", agents},
    {"many_agents", "three hundred at once", many_agents},
    {"sub_agents", "agents that hand on parts of their work", sub_agents},
    {"tree_of_thought", "searches that branch, and drop most", tree_of_thought},
    {"self_consistency", "each prompt eight times", self_consistency},
    {"code_editing", "files that change in the middle", code_editing},
    {"code_completion", "files that grow, asked about often", code_completion},
    {"monitors", "histories asked about at intervals", monitors},
};

}  // namespace

std::span<const Family> agent_families() { return kFamilies; }

}  // namespace headwater::cachesim
