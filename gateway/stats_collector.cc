#include "gateway/stats_collector.h"

#include <span>

#include "gateway/metric_family.h"

namespace headwater::gateway {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

double number(std::uint64_t value) { return static_cast<double>(value); }

/// A counter with a label; `values` are in the order of its names.
MetricFamily labelled(std::string name, std::string help, const std::string& label,
                      std::span<const std::string_view> names, std::span<const std::uint64_t> values) {
  MetricFamily result = metric_family(std::move(name), std::move(help), MetricType::Counter);
  for (std::size_t i = 0; i < names.size(); ++i)
    add_metric(result, number(values[i]), {{label, std::string(names[i])}});
  return result;
}

void add_tier(const TierStats& tier, std::vector<MetricFamily>& all) {
  const auto counter = [&](const char* name, const char* help, std::uint64_t value) {
    all.push_back(single_metric(name, help, MetricType::Counter, number(value)));
  };
  auto state = metric_family("headwater_cache_tier_state", "State of the disk tier: 1 for the one that it is in.",
                             MetricType::Gauge);
  const auto add_state = [&](const char* name, TierStats::State value) {
    add_metric(state, tier.state == value ? 1 : 0, {{"state", name}});
  };
  add_state("on", TierStats::State::on);
  add_state("degraded", TierStats::State::degraded);
  add_state("off", TierStats::State::off);
  all.push_back(std::move(state));
  all.push_back(single_metric("headwater_cache_tier_blocks", "Blocks that the disk tier holds.", MetricType::Gauge,
                              number(tier.blocks)));
  all.push_back(single_metric("headwater_cache_tier_bytes", "Bytes of these.", MetricType::Gauge, number(tier.bytes)));
  counter("headwater_cache_tier_hit_tokens_total", "Prompt tokens loaded from the disk tier instead of computed.",
          tier.hit_tokens);
  counter("headwater_cache_tier_saved_blocks_total", "Blocks written to the disk tier.", tier.saved_blocks);
  counter("headwater_cache_tier_dropped_blocks_total",
          "Blocks worth writing that found the queue full, or their tenant over its quota.", tier.dropped_blocks);
  counter("headwater_cache_tier_mismatches_total", "Blocks that were damaged, or not what they should be.",
          tier.mismatches);
  counter("headwater_cache_tier_late_loads_total", "Loads given up or cut short, as computing was as fast.",
          tier.late_loads);
  counter("headwater_cache_tier_refused_loads_total", "Loads not tried, as computing was expected to be as fast.",
          tier.too_slow);
  counter("headwater_cache_tier_errors_total", "Errors of the disk or its files.", tier.errors);
  all.push_back(histogram_metric("headwater_cache_tier_load_seconds",
                                 "Time to load what the disk tier has of a prompt.", kTierSecondsBounds,
                                 tier.load_seconds_counts, tier.load_seconds_sum));
  all.push_back(histogram_metric("headwater_cache_tier_save_seconds", "Time to write a block to the disk tier.",
                                 kTierSecondsBounds, tier.save_seconds_counts, tier.save_seconds_sum));
}

}  // namespace

std::vector<MetricFamily> StatsCollector::Collect() const {
  Stats stats = runtime_.stats();
  for (std::size_t i = 0; i < refused_.size(); ++i) stats.refused[i] += refused_[i];
  std::vector<MetricFamily> all;

  auto requests = metric_family("headwater_requests_total", "Requests by outcome.", MetricType::Counter);
  add_metric(requests, number(stats.finished), {{"outcome", "finished"}});
  add_metric(requests, number(stats.failed), {{"outcome", "failed"}});
  add_metric(requests, number(stats.cancelled), {{"outcome", "cancelled"}});
  add_metric(requests, number(stats.rejected()), {{"outcome", "rejected"}});
  all.push_back(std::move(requests));

  all.push_back(labelled("headwater_requests_refused_total", "Requests refused at the door, by why.", "reason",
                         kRefusalNames, stats.refused));

  auto blocks = metric_family("headwater_kv_blocks", "Blocks of the KV cache by state.", MetricType::Gauge);
  add_metric(blocks, number(stats.blocks_free), {{"state", "free"}});
  add_metric(blocks, number(stats.blocks_active), {{"state", "active"}});
  add_metric(blocks, number(stats.blocks_cached), {{"state", "cached"}});
  all.push_back(std::move(blocks));

  auto bytes = metric_family("headwater_kv_bytes",
                             "Bytes that blocks take in layers that keep all tokens, and in those with a window.",
                             MetricType::Gauge);
  add_metric(bytes, number(stats.kv_full_bytes), {{"layers", "full"}});
  add_metric(bytes, number(stats.kv_window_bytes), {{"layers", "window"}});
  all.push_back(std::move(bytes));

  all.push_back(labelled("headwater_prefix_cache_missed_tokens_total",
                         "Prompt tokens that were not found in the prefix cache, by why.", "reason",
                         std::span(kCacheMissNames).subspan(1), std::span(stats.prefix_missed_tokens).subspan(1)));
  all.push_back(labelled("headwater_cache_evictions_total", "Cached blocks given up, by why.", "reason",
                         kEvictionReasonNames, stats.evictions));

  const auto counter = [&](const char* name, const char* help, std::uint64_t value) {
    all.push_back(single_metric(name, help, MetricType::Counter, number(value)));
  };
  const auto gauge = [&](const char* name, const char* help, std::uint64_t value) {
    all.push_back(single_metric(name, help, MetricType::Gauge, number(value)));
  };
  counter("headwater_requests_accepted_total", "Requests that were given credit.", stats.accepted);
  gauge("headwater_requests_in_flight", "Requests accepted and not ended.", stats.in_flight);
  gauge("headwater_num_requests_running", "Requests in the running batch.", stats.running);
  gauge("headwater_num_requests_waiting", "Requests waiting for a place in the batch.", stats.queued);
  counter("headwater_prompt_tokens_total", "Prompt tokens of accepted requests.", stats.prompt_tokens);
  counter("headwater_generation_tokens_total", "Tokens generated.", stats.generation_tokens);
  counter("headwater_prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.",
          stats.prefix_query_tokens);
  counter("headwater_prefix_cache_hits_total", "Of those, tokens found.", stats.prefix_hit_tokens);
  counter("headwater_prefix_cache_copied_tokens_total", "Of those, tokens found in blocks that agreed in part.",
          stats.prefix_copied_tokens);
  counter("headwater_prefix_cache_query_blocks_total", "Whole blocks of prompts looked up in the prefix cache.",
          stats.prefix_query_blocks);
  counter("headwater_prefix_cache_hit_blocks_total", "Of those, blocks found.", stats.prefix_hit_blocks);
  gauge("headwater_kv_blocks_capacity", "Blocks of the KV cache.", stats.blocks_total);
  gauge("headwater_kv_block_tokens", "Tokens of one block. The first of a sequence may hold half.", stats.block_tokens);
  all.push_back(single_metric("headwater_kv_cache_usage_perc",
                              "Share of the KV cache's blocks that requests use, 0 … 1.", MetricType::Gauge,
                              stats.blocks_total == 0 ? 0 : number(stats.blocks_active) / number(stats.blocks_total)));
  const ModelInfo model = runtime_.model();
  gauge("headwater_kv_bytes_per_token", "Bytes of the KV cache that a token takes.", model.kv_bytes_per_token);
  gauge("headwater_kv_window_tokens", "Tokens that layers with a window keep of a sequence; 0: none has one.",
        model.kv_window);
  gauge("headwater_kv_capacity_tokens", "Tokens that the KV cache holds.", model.kv_tokens);
  all.push_back(single_metric("headwater_kv_factor_over_16_bits",
                              "Tokens that the KV cache holds over those that 16 bits would hold in the same memory.",
                              MetricType::Gauge, model.kv_factor));
  counter("headwater_cache_ghost_hits_total", "Prompts that missed first what had been evicted.", stats.ghost_hits);
  counter("headwater_num_preemptions_total", "Running requests set back for want of blocks.", stats.preemptions);
  counter("headwater_spec_decode_num_draft_tokens_total", "Tokens guessed from a sequence's own text and checked.",
          stats.drafted);
  counter("headwater_spec_decode_num_accepted_tokens_total", "Guessed tokens that were right.", stats.draft_accepted);
  counter("headwater_steps_total", "Forward passes.", stats.steps);
  counter("headwater_stage_restarts_total", "Stages started anew after a failure.", stats.stage_restarts);

  all.push_back(histogram_metric("headwater_cache_eviction_age_seconds",
                                 "From the last use of a block to its eviction.", kEvictionAgeBounds,
                                 stats.eviction_age_seconds_counts, stats.eviction_age_seconds_sum));
  all.push_back(histogram_metric("headwater_step_seconds", "Time of a forward pass.", kStepSecondsBounds,
                                 stats.step_seconds_counts, stats.step_seconds_sum));
  all.push_back(histogram_metric("headwater_batch_size", "Sequences of a forward pass.", kBatchSizeBounds,
                                 stats.batch_size_counts, number(stats.batch_size_sum)));
  if (stats.tier) add_tier(*stats.tier, all);
  return all;
}

}  // namespace headwater::gateway
