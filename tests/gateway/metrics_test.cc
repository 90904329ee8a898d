#include "gateway/metrics.h"

#include <gtest/gtest.h>

#include "tests/gateway/live_server.h"

namespace headwater::test {
namespace {

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(Metrics, TellsWhatBecameOfRequests) {
  gateway::ServerOptions options;
  options.max_body_bytes = 5000;
  LiveServer live(options);
  HttpClient(live).post("/v1/completions", {{"prompt", std::string(5000, 'x')}});
  HttpClient client(live);
  client.post("/v1/completions", {{"prompt", "x"}, {"max_tokens", 2}});
  client.post("/v1/completions", {{"prompt", "TOO LONG"}});
  client.post("/v1/completions", {{"prompt", 7}});
  live.runtime.refuse_with(Error{ErrorCode::overloaded, "no credit", ""});
  client.post("/v1/completions", {{"prompt", "x"}});
  const Answer answer = client.get("/metrics");
  EXPECT_EQ(answer.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  for (const char* line : {"headwater_requests_total{outcome=\"finished\"} 1",
                           "headwater_requests_total{outcome=\"failed\"} 1",
                           "headwater_requests_total{outcome=\"cancelled\"} 0",
                           "headwater_requests_total{outcome=\"rejected\"} 3",
                           "headwater_requests_refused_total{reason=\"invalid\"} 1",
                           "headwater_requests_refused_total{reason=\"queue_full\"} 1",
                           "headwater_requests_refused_total{reason=\"too_long\"} 1",
                           "headwater_requests_refused_total{reason=\"no_memory\"} 0",
                           "headwater_generation_tokens_total 2",
                           "headwater_time_to_first_token_seconds_count 1",
                           "headwater_request_queue_time_seconds_count 1",
                           "headwater_request_time_per_output_token_seconds_sum 0.008",
                           "headwater_http_responses_total{status=\"400\"} 2",
                           "headwater_http_responses_total{status=\"429\"} 1",
                           "headwater_http_responses_total{status=\"413\"} 1",
                           "headwater_request_success_total{finished_reason=\"length\"} 1",
                           "headwater_request_success_total{finished_reason=\"stop\"} 0",
                           "headwater_e2e_request_latency_seconds_sum 0.01",
                           "headwater_request_prefill_time_seconds_sum 0.001",
                           "headwater_request_decode_time_seconds_sum 0.008",
                           "headwater_inter_token_latency_seconds_count 1",
                           "headwater_request_prompt_tokens_bucket{le=\"2\"} 1",
                           "headwater_request_generation_tokens_bucket{le=\"1\"} 0",
                           "headwater_request_generation_tokens_bucket{le=\"2\"} 1",
                           "headwater_connections 1"}) {
    EXPECT_TRUE(has_line(answer.body, line)) << line << "\n" << answer.body;
  }
}

TEST(Metrics, TellsTheStateOfTheCacheAndTheSteps) {
  FakeRuntime runtime;
  const std::string text = gateway::Metrics(runtime).text();
  for (const char* line : {"headwater_kv_blocks{state=\"free\"} 60",
                           "headwater_kv_blocks{state=\"active\"} 30",
                           "headwater_kv_blocks{state=\"cached\"} 10",
                           "headwater_prefix_cache_queries_total 500",
                           "headwater_prefix_cache_hits_total 320",
                           "headwater_prefix_cache_copied_tokens_total 25",
                           "headwater_prefix_cache_query_blocks_total 14",
                           "headwater_prefix_cache_hit_blocks_total 9",
                           "headwater_prefix_cache_missed_tokens_total{reason=\"never_seen\"} 100",
                           "headwater_prefix_cache_missed_tokens_total{reason=\"bypassed\"} 3",
                           "headwater_cache_evictions_total{reason=\"demand\"} 7",
                           "headwater_cache_evictions_total{reason=\"flush\"} 2",
                           "headwater_cache_evictions_total{reason=\"quota\"} 0",
                           "headwater_cache_ghost_hits_total 4",
                           "headwater_cache_eviction_age_seconds_bucket{le=\"0.1\"} 1",
                           "headwater_cache_eviction_age_seconds_bucket{le=\"300\"} 9",
                           "headwater_cache_eviction_age_seconds_count 10",
                           "headwater_cache_eviction_age_seconds_sum 33.5",
                           "headwater_step_seconds_bucket{le=\"0.001\"} 1",
                           "headwater_step_seconds_bucket{le=\"0.002\"} 3",
                           "headwater_step_seconds_bucket{le=\"1\"} 3",
                           "headwater_step_seconds_bucket{le=\"+Inf\"} 6",
                           "headwater_step_seconds_sum 0.5",
                           "headwater_step_seconds_count 6",
                           "headwater_batch_size_bucket{le=\"4\"} 6",
                           "headwater_batch_size_count 6",
                           "# TYPE headwater_step_seconds histogram",
                           "# TYPE headwater_kv_blocks gauge",
                           "headwater_kv_bytes_per_token 12240",
                           "headwater_kv_bytes{layers=\"full\"} 15000000",
                           "headwater_kv_bytes{layers=\"window\"} 667200",
                           "headwater_kv_window_tokens 512",
                           "headwater_kv_capacity_tokens 3200",
                           "headwater_kv_blocks_capacity 100",
                           "headwater_kv_cache_usage_perc 0.3",
                           "headwater_model_info{model_name=\"fake\",architecture=\"\",quant_policy=\"\",context_"
                           "length=\"1024\"} 1",
                           "headwater_kv_factor_over_16_bits 1.875"}) {
    EXPECT_TRUE(has_line(text, line)) << line << "\n" << text;
  }
}

TEST(Metrics, TellsOfADiskTierWhereThereIsOne) {
  FakeRuntime runtime;
  EXPECT_EQ(gateway::Metrics(runtime).text().find("cache_tier"), std::string::npos);
  TierStats& tier = runtime.tier.emplace();
  tier.state = TierStats::State::degraded;
  tier.blocks = 7;
  tier.bytes = 7000;
  tier.hit_tokens = 96;
  tier.saved_blocks = 9;
  tier.dropped_blocks = 2;
  tier.mismatches = 1;
  tier.late_loads = 4;
  tier.too_slow = 5;
  tier.errors = 3;
  tier.load_seconds_sum = 0.25;
  tier.load_seconds_counts.assign(std::size(kTierSecondsBounds) + 1, 0);
  tier.load_seconds_counts[1] = 2;
  const std::string text = gateway::Metrics(runtime).text();
  for (const char* line :
       {"headwater_cache_tier_state{state=\"on\"} 0", "headwater_cache_tier_state{state=\"degraded\"} 1",
        "headwater_cache_tier_state{state=\"off\"} 0", "headwater_cache_tier_blocks 7",
        "headwater_cache_tier_bytes 7000", "headwater_cache_tier_hit_tokens_total 96",
        "headwater_cache_tier_saved_blocks_total 9", "headwater_cache_tier_dropped_blocks_total 2",
        "headwater_cache_tier_mismatches_total 1", "headwater_cache_tier_late_loads_total 4",
        "headwater_cache_tier_refused_loads_total 5", "headwater_cache_tier_errors_total 3",
        "headwater_cache_tier_load_seconds_bucket{le=\"0.0005\"} 0",
        "headwater_cache_tier_load_seconds_bucket{le=\"0.001\"} 2", "headwater_cache_tier_load_seconds_count 2",
        "headwater_cache_tier_load_seconds_sum 0.25", "headwater_cache_tier_save_seconds_count 0"}) {
    EXPECT_TRUE(has_line(text, line)) << line << "\n" << text;
  }
}

}  // namespace
}  // namespace headwater::test
