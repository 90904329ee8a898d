#include "cache/eviction.h"

#include <set>
#include <tuple>
#include <unordered_map>

namespace headwater::cache {
namespace {

/// Gives up first what was used longest ago.
class Lru : public EvictionPolicy {
 public:
  explicit Lru(std::uint32_t total_blocks) : last_used_(total_blocks) {}
  void on_published(BlockId block, std::uint32_t, schedule::TimeNs now) override { at(block) = now; }
  void on_used(BlockId block, schedule::TimeNs now) override { at(block) = now; }
  void on_forgotten(BlockId block) override { at(block) = 0; }
  double rank(BlockId block) const override { return static_cast<double>(last_used_[static_cast<std::size_t>(block)]); }

 private:
  schedule::TimeNs& at(BlockId block) { return last_used_[static_cast<std::size_t>(block)]; }
  std::vector<schedule::TimeNs> last_used_;
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
constexpr PolicyEntry kPolicies[] = {{"lru", make<Lru>}};

/// What the evictor knows of an indexed block.
struct Known {
  bool indexed = false;
  bool idle = false;
  BlockId parent = -1;
  std::uint32_t depth = 0;
  std::uint32_t children = 0;
};

/// Candidates in the order of giving up; of equals, the deeper first.
using Order = std::tuple<double, std::int64_t, BlockId>;

}  // namespace

Result<std::unique_ptr<EvictionPolicy>> make_policy(std::string_view name, std::uint32_t total_blocks) {
  std::string known;
  for (const PolicyEntry& entry : kPolicies) {
    if (entry.name == name) return entry.make(total_blocks);
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return Error{"unknown_policy", "unknown eviction policy \"" + std::string(name) + "\" (known: " + known + ")",
               "policy"};
}

struct Evictor::Impl {
  std::unique_ptr<EvictionPolicy> policy;
  std::vector<Known> known;
  std::set<Order> leaves;  ///< idle blocks without indexed children
  std::uint64_t idle = 0;

  Known& at(BlockId block) { return known.at(static_cast<std::size_t>(block)); }
  const Known& at(BlockId block) const { return known.at(static_cast<std::size_t>(block)); }
  Order order(BlockId block) const { return {policy->rank(block), -std::int64_t{at(block).depth}, block}; }
  bool is_leaf(BlockId block) const { return at(block).indexed && at(block).idle && at(block).children == 0; }

  void add_if_leaf(BlockId block) {
    if (block >= 0 && is_leaf(block)) leaves.insert(order(block));
  }
  void remove(BlockId block) {
    if (block >= 0 && is_leaf(block)) leaves.erase(order(block));
  }

  void set_idle(BlockId block, bool now_idle) {
    if (at(block).idle == now_idle) return;
    at(block).idle = now_idle;
    now_idle ? ++idle : --idle;
  }

  void on_touch(const Touch& touch, schedule::TimeNs now) {
    const BlockId block = touch.block;
    remove(block);  // its rank is about to change
    switch (touch.kind) {
      case Touch::Kind::published:
        remove(touch.parent);
        at(block) = {true, false, touch.parent, touch.depth, 0};
        if (touch.parent >= 0) ++at(touch.parent).children;
        policy->on_published(block, touch.depth, now);
        break;
      case Touch::Kind::idle:
      case Touch::Kind::busy:
        policy->on_used(block, now);
        set_idle(block, touch.kind == Touch::Kind::idle);
        add_if_leaf(block);
        break;
      case Touch::Kind::forgotten: {
        const BlockId parent = at(block).parent;
        set_idle(block, false);
        at(block) = {};
        policy->on_forgotten(block);
        if (parent >= 0) {
          --at(parent).children;
          add_if_leaf(parent);
        }
        break;
      }
    }
  }
};

Evictor::Evictor(std::unique_ptr<EvictionPolicy> policy, std::uint32_t total_blocks) : impl_(std::make_unique<Impl>()) {
  impl_->policy = std::move(policy);
  impl_->known.resize(total_blocks);
}
Evictor::~Evictor() = default;

void Evictor::on_touches(std::span<const Touch> touches, schedule::TimeNs now) {
  for (const Touch& touch : touches) impl_->on_touch(touch, now);
}

std::vector<BlockId> Evictor::victims(std::uint32_t n) const {
  const Impl& evictor = *impl_;
  std::vector<BlockId> chosen;
  std::set<Order> uncovered;  // parents whose children have all been chosen
  std::unordered_map<BlockId, std::uint32_t> taken_children;
  auto leaf = evictor.leaves.begin();
  while (chosen.size() < n && (leaf != evictor.leaves.end() || !uncovered.empty())) {
    const bool from_leaves = uncovered.empty() || (leaf != evictor.leaves.end() && *leaf < *uncovered.begin());
    const BlockId block = std::get<BlockId>(from_leaves ? *leaf : *uncovered.begin());
    from_leaves ? static_cast<void>(++leaf) : static_cast<void>(uncovered.erase(uncovered.begin()));
    chosen.push_back(block);
    const BlockId parent = evictor.at(block).parent;
    if (parent < 0 || !evictor.at(parent).idle) continue;
    if (++taken_children[parent] == evictor.at(parent).children) uncovered.insert(evictor.order(parent));
  }
  return chosen;
}

std::uint64_t Evictor::candidates() const { return impl_->idle; }

void Evictor::reset() {
  for (std::size_t i = 0; i < impl_->known.size(); ++i) {
    if (impl_->known[i].indexed) impl_->policy->on_forgotten(static_cast<BlockId>(i));
    impl_->known[i] = {};
  }
  impl_->leaves.clear();
  impl_->idle = 0;
}

}  // namespace headwater::cache
