#include "cache/eviction_policy.h"

#include <algorithm>
#include <string>

#include "cache/adaptive_policy.h"

namespace headwater::cache {
namespace {

/// Gives up first what was published longest ago.
class Fifo : public EvictionPolicy {
 public:
  explicit Fifo(std::uint32_t total_blocks) : times_(total_blocks) {}
  void on_published(const Touch& touch, TimeNs now) override { at(touch.block) = now; }
  void on_idle(BlockId, TimeNs) override {}
  void on_forgotten(BlockId block) override { at(block) = 0; }
  Place place(BlockId block) const override { return {0, {times_[static_cast<std::size_t>(block)], 0}}; }

 protected:
  TimeNs& at(BlockId block) { return times_[static_cast<std::size_t>(block)]; }

 private:
  std::vector<TimeNs> times_;
};

/// Gives up first what was used longest ago.
class Lru : public Fifo {
 public:
  using Fifo::Fifo;
  void on_idle(BlockId block, TimeNs now) override { at(block) = now; }
};

/// Gives up first what was used the fewest times since it was published; of equals, what was used longest ago.
class Lfu : public EvictionPolicy {
 public:
  explicit Lfu(std::uint32_t total_blocks) : known_(total_blocks) {}
  void on_published(const Touch& touch, TimeNs now) override { at(touch.block) = {0, now}; }
  void on_idle(BlockId block, TimeNs now) override {
    ++at(block).uses;
    at(block).last_used = now;
  }
  void on_forgotten(BlockId block) override { at(block) = {}; }
  Place place(BlockId block) const override {
    const Known& known = known_[static_cast<std::size_t>(block)];
    return {0, {known.uses, known.last_used}};
  }

 private:
  struct Known {
    std::int64_t uses = 0;
    TimeNs last_used = 0;
  };
  Known& at(BlockId block) { return known_[static_cast<std::size_t>(block)]; }
  std::vector<Known> known_;
};

template <class Policy>
std::unique_ptr<EvictionPolicy> make(std::uint32_t total_blocks) {
  return std::make_unique<Policy>(total_blocks);
}

struct PolicyEntry {
  std::string_view name;
  std::unique_ptr<EvictionPolicy> (*make)(std::uint32_t total_blocks);
};

/// Every policy that there is.
constexpr PolicyEntry kPolicies[] = {
    {"lru", make<Lru>}, {"fifo", make<Fifo>}, {"lfu", make<Lfu>}, {"adaptive", make<AdaptivePolicy>}};

}  // namespace

std::vector<std::string> policy_names() {
  std::vector<std::string> names;
  for (const PolicyEntry& entry : kPolicies) names.emplace_back(entry.name);
  return names;
}

Result<std::unique_ptr<EvictionPolicy>> make_policy(std::string_view name, std::uint32_t total_blocks) {
  std::string known;
  for (const PolicyEntry& entry : kPolicies) {
    if (entry.name == name) return entry.make(total_blocks);
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return Error{ErrorCode::unknown_policy,
               "unknown eviction policy \"" + std::string(name) + "\" (known: " + known + ")", "policy"};
}

}  // namespace headwater::cache
