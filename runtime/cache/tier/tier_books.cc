#include "cache/tier/tier_books.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace headwater::cache {
namespace {

/// A block this deep is costly: whoever asks for it anew computes as much.
constexpr std::uint32_t kCostlyTokens = 256;
constexpr double kAssumedPrefill = 2000;  ///< tokens a second, until one is measured
constexpr double kAssumedBytesPerSecond = 1e9;
constexpr double kWeight = 0.3;                 ///< of the latest load, in the mean
constexpr TimeNs kProbeEvery = 10'000'000'000;  ///< a tier that seems too slow
constexpr double kReadShare = 0.8;              ///< of the time that a request waits, the rest is for the way
constexpr std::size_t kMostWanted = 1 << 16;

double seconds(TimeNs time) { return static_cast<double>(time) * 1e-9; }

}  // namespace

TierBooks::TierBooks(TierBooksOptions options)
    : options_(options),
      prefill_speed_(kAssumedPrefill),
      seconds_per_block_(static_cast<double>(options.block_bytes) / kAssumedBytesPerSecond) {}

void TierBooks::reset() {
  open_ = troubled_ = false;
  opening_ = true;
  index_.clear();
  wanted_.clear();
  loads_.clear();
  staged_.clear();
  saving_.clear();
  saves_under_way_ = 0;
}

void TierBooks::advance(TimeNs now) { erase(index_.take_expired(now)); }

void TierBooks::on_open(const OpenOutcome& outcome, TimeNs now) {
  opening_ = false;
  open_ = outcome.error.empty();
  store_ = outcome.store;
  index_.clear();
  troubled_ = false;
  if (!open_) return trouble(now);
  to_erase_ = {.all = all_condemned_, .keys = {}};
  const auto condemned = std::exchange(condemned_, {});
  if (all_condemned_) return;
  for (const TierEntry& entry : outcome.entries) {
    if (condemned.contains(entry.key) || flushed_.contains(entry.terms.tenant)) {
      erase({&entry.key, 1});
    } else {
      index_.put(entry);
    }
  }
  flushed_.clear();
}

bool TierBooks::takes_open(TimeNs now) {
  if (!troubled_ || opening_ || reopening_.pausing(now)) return false;
  return opening_ = true;
}

void TierBooks::on_hung(TimeNs now) {
  open_ = false;
  trouble(now);
}

void TierBooks::trouble(TimeNs now) {
  ++stats_.errors;
  if (!troubled_) reopening_.fail(now);  // what is under way fails of the same cause
  troubled_ = true;
}

// ---- saving ----

bool TierBooks::worth_saving(const CachedBlock& block) const {
  const std::uint32_t tokens = options_.grid.size(block.depth);
  if (block.tokens.size() != tokens || seconds_per_block_ >= compute_seconds(tokens)) return false;
  const bool costly = options_.grid.end(block.depth) >= kCostlyTokens;
  return block.matched || costly || wanted_.contains(block.key);
}

/// Whether one more block of the tenant would be too many, and drive out another's.
bool TierBooks::over_quota(const TenantMark& tenant) const {
  const double share = options_.tenant_quota * static_cast<double>(store_.capacity);
  if (static_cast<double>((index_.blocks_of(tenant) + 1) * options_.block_bytes) <= share) return false;
  const bool full = store_.bytes + (saves_under_way_ + 1) * options_.block_bytes > store_.capacity;
  return full && store_.next_out && *store_.next_out != tenant;
}

bool TierBooks::takes_save(const CachedBlock& block) {
  const bool known = knows(block.key);
  if (known) index_.prolong(block.key, block.terms.expires);
  if (!open_ || troubled_ || !worth_saving(block) || (known && !index_.old(block.key))) return false;
  if (saves_under_way_ >= options_.max_saves || over_quota(block.terms.tenant)) {
    ++stats_.dropped_blocks;
    return false;
  }
  ++saves_under_way_;
  Saving& saving = saving_[block.key];
  ++saving.times;
  saving.terms = block.terms;
  index_.put({block.key, block.terms});
  condemned_.erase(block.key);
  wanted_.erase(block.key);
  if (wanted_.size() >= kMostWanted) wanted_.clear();
  if (block.depth > 0) wanted_.insert(block.parent);
  return true;
}

void TierBooks::on_saved(const SaveOutcome& outcome, TimeNs now) {
  const auto found = saving_.find(outcome.key);
  if (found == saving_.end()) return;  // of an earlier epoch
  Saving& saving = found->second;
  const TierTerms terms = saving.terms;
  const bool flushed = saving.flushed > 0;
  if (flushed) --saving.flushed;
  if (--saving.times == 0) saving_.erase(found);
  --saves_under_way_;
  store_ = outcome.store;
  if (!outcome.error.empty()) {
    index_.erase(outcome.key);
    trouble(now);
    return;
  }
  reopening_.succeed();
  ++stats_.saved_blocks;
  save_seconds_.add(seconds(outcome.duration));
  for (const Key& key : outcome.dropped) index_.erase(key);
  if (flushed) {
    erase({&outcome.key, 1});
  } else if (!knows(outcome.key)) {
    index_.put({outcome.key, terms});
  }
}

// ---- loading ----

std::uint32_t TierBooks::staged() const {
  std::uint32_t blocks = 0;
  for (const auto& [request, staged] : staged_) blocks += staged;
  for (const auto& [number, load] : loads_) blocks += load.blocks;
  return blocks;
}

TierLoad TierBooks::takes_load(RequestId request, std::uint32_t depth, std::uint32_t blocks, TimeNs now) {
  if (!open_ || loading_.pausing(now)) return {};
  std::uint32_t under_way = 0;
  for (const auto& [number, load] : loads_) under_way += load.blocks;
  TierLoad load;
  load.blocks = std::min(blocks, options_.max_staged - std::min(staged(), options_.max_staged));
  if (load.blocks == 0) return {};
  const double compute = compute_seconds(tokens(depth, load.blocks));
  if ((under_way + load.blocks) * seconds_per_block_ >= compute * kReadShare) {
    if (now < probe_at_) {
      ++stats_.too_slow;
      return {};
    }
  }
  probe_at_ = now + kProbeEvery;
  load.number = next_load_++;
  load.read_until = now + static_cast<TimeNs>(compute * kReadShare * 1e9);
  load.wait_until = now + static_cast<TimeNs>(compute * 1e9);
  loads_[load.number] = {request, depth, load.blocks};
  return load;
}

void TierBooks::learn_speed(double seconds_per_block) {
  seconds_per_block_ += kWeight * (seconds_per_block - seconds_per_block_);
}

void TierBooks::on_loaded(std::uint64_t number, const LoadOutcome& outcome, TimeNs now) {
  const auto found = loads_.find(number);
  if (found == loads_.end()) return;  // of an earlier epoch
  const UnderWay load = found->second;
  loads_.erase(found);
  for (const Key& key : outcome.gone) index_.erase(key);
  store_ = outcome.store;
  stats_.mismatches += outcome.mismatches;
  const auto n = static_cast<std::uint32_t>(outcome.blocks.size());
  if (n > 0) learn_speed(seconds(outcome.duration) / n);
  load_seconds_.add(seconds(outcome.duration));
  if (!outcome.error.empty()) {
    open_ = false;
    trouble(now);
  }
  if (!load.wanted) return;
  if (outcome.late) ++stats_.late_loads;
  if (n > 0) {
    loading_.succeed();
    staged_[load.request] = n;
    stats_.hit_tokens += tokens(load.depth, n);
  } else if (outcome.late) {
    loading_.fail(now);
  }
}

void TierBooks::give_up(std::uint64_t number, bool late, TimeNs now) {
  const auto found = loads_.find(number);
  if (found == loads_.end()) return;
  found->second.wanted = false;
  if (!late) return;
  ++stats_.late_loads;
  learn_speed(compute_seconds(options_.grid.tokens));
  loading_.fail(now);
}

// ---- erasing ----

void TierBooks::erase(std::span<const Key> keys) {
  condemned_.insert(keys.begin(), keys.end());
  to_erase_.keys.insert(to_erase_.keys.end(), keys.begin(), keys.end());
}

std::uint64_t TierBooks::flush(const std::optional<std::string>& tenant) {
  const TenantMark mark = tenant_mark(tenant.value_or(""));
  if (tenant && digest_of(mark) != *tenant) return 0;  // no tenant's
  for (auto& [key, saving] : saving_) {
    if (!tenant || saving.terms.tenant == mark) saving.flushed = saving.times;
  }
  if (tenant) {
    if (!open_) flushed_.insert(mark);
    const std::vector<Key> keys = index_.take(mark);
    erase(keys);
    return keys.size();
  }
  const std::uint64_t blocks = index_.size();
  index_.clear();
  condemned_.clear();
  flushed_.clear();
  to_erase_ = {.all = true, .keys = {}};
  all_condemned_ = true;
  return blocks;
}

Erasure TierBooks::take_erasure() { return open_ ? std::exchange(to_erase_, {}) : Erasure{}; }

void TierBooks::on_erased(const Erasure& erasure, const EraseOutcome& outcome, TimeNs now) {
  store_ = outcome.store;
  if (!outcome.error.empty()) {
    open_ = false;
    trouble(now);
    return;
  }
  if (erasure.all) all_condemned_ = false;
  for (const Key& key : erasure.keys) condemned_.erase(key);
}

void TierBooks::set_prefill_speed(double tokens_per_second) {
  if (tokens_per_second > 0) prefill_speed_ = tokens_per_second;
}

TierStats TierBooks::stats() const {
  TierStats stats = stats_;
  stats.blocks = index_.size();
  stats.bytes = store_.bytes;
  stats.load_seconds_sum = load_seconds_.sum();
  stats.load_seconds_counts = load_seconds_.counts();
  stats.save_seconds_sum = save_seconds_.sum();
  stats.save_seconds_counts = save_seconds_.counts();
  stats.state = !open_                            ? TierStats::State::off
                : troubled_ || loading_.failing() ? TierStats::State::degraded
                                                  : TierStats::State::on;
  return stats;
}

TierHoldings TierBooks::holdings() const {
  TierHoldings holdings;
  holdings.blocks = index_.size();
  holdings.bytes = store_.bytes;
  holdings.tenants_total = index_.tenants().size();
  for (const auto& [tenant, blocks] : index_.tenants()) holdings.tenants.push_back({digest_of(tenant), blocks});
  std::ranges::sort(holdings.tenants, [](const auto& left, const auto& right) {
    return std::tie(right.blocks, left.tenant) < std::tie(left.blocks, right.tenant);
  });
  if (holdings.tenants.size() > kMostTenantsShown) holdings.tenants.resize(kMostTenantsShown);
  return holdings;
}

}  // namespace headwater::cache
