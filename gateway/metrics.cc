#include "gateway/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <atomic>

#include "gateway/metric_family.h"
#include "gateway/process_metrics.h"
#include "gateway/stats_collector.h"

namespace headwater::gateway {
namespace {

prometheus::Histogram& histogram(prometheus::Registry& registry, const std::string& name, const std::string& help,
                                 const prometheus::Histogram::BucketBoundaries& bounds) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, bounds);
}

using Bounds = prometheus::Histogram::BucketBoundaries;
using prometheus::MetricFamily;
using prometheus::MetricType;

const Bounds kWaitBounds = {0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};  // seconds
const Bounds kWholeBounds = {0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600};   // seconds
const Bounds kTokenBounds = {0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02,
                             0.03,  0.05,   0.075, 0.1,    0.2,  0.5,   1};  // seconds
const Bounds kLengthBounds = {1,   2,    5,    10,   20,    50,    100,   200,
                              500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};  // tokens

/// Values that never change, as labels of a gauge that is 1.
MetricFamily info(std::string name, std::string help, std::vector<prometheus::ClientMetric::Label> labels) {
  MetricFamily family = metric_family(std::move(name), std::move(help), MetricType::Gauge);
  add_metric(family, 1, std::move(labels));
  return family;
}

MetricFamily model_info(const ModelInfo& model) {
  return info("headwater_model_info", "The model that is served.",
              {{"model_name", model.name},
               {"architecture", model.architecture},
               {"quant_policy", model.quant_policy},
               {"context_length", std::to_string(model.context_length)}});
}

MetricFamily build_info() {
#ifdef __OPTIMIZE__
  const char* build = "optimised";
#else
  const char* build = "debug";
#endif
  return info("headwater_build_info", "What this server was built from.",
              {{"version", HEADWATER_VERSION}, {"compiler", "gcc " __VERSION__}, {"build", build}});
}

Refusal refusal_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::context_length_exceeded:
    case ErrorCode::payload_too_large:
      return Refusal::too_long;
    case ErrorCode::unavailable:
      return Refusal::no_memory;
    default:
      return Refusal::invalid;
  }
}

}  // namespace

struct Metrics::Families {
  explicit Families(const Runtime& runtime) : runtime(runtime), collector(runtime, refused) {}

  const Runtime& runtime;
  prometheus::Registry registry;
  // Of requests that finished.
  prometheus::Histogram& whole = histogram(registry, "headwater_e2e_request_latency_seconds",
                                           "From acceptance to the end of a request.", kWholeBounds);
  prometheus::Histogram& queue =
      histogram(registry, "headwater_request_queue_time_seconds",
                "From acceptance to the first step that worked on the request.", kWaitBounds);
  prometheus::Histogram& prefill =
      histogram(registry, "headwater_request_prefill_time_seconds",
                "From the first step that worked on the request to its first token.", kWaitBounds);
  prometheus::Histogram& decode = histogram(registry, "headwater_request_decode_time_seconds",
                                            "From the first token of a request to its end.", kWholeBounds);
  prometheus::Histogram& ttft =
      histogram(registry, "headwater_time_to_first_token_seconds", "From acceptance to the first token.", kWaitBounds);
  prometheus::Histogram& per_token =
      histogram(registry, "headwater_request_time_per_output_token_seconds",
                "Mean time between the tokens of a request, the first left out.", kTokenBounds);
  prometheus::Histogram& prompt_length =
      histogram(registry, "headwater_request_prompt_tokens", "Tokens of a request's prompt.", kLengthBounds);
  prometheus::Histogram& answer_length =
      histogram(registry, "headwater_request_generation_tokens", "Tokens generated for a request.", kLengthBounds);
  prometheus::Family<prometheus::Counter>& successes = prometheus::BuildCounter()
                                                           .Name("headwater_request_success_total")
                                                           .Help("Requests that finished, by why they ended.")
                                                           .Register(registry);
  prometheus::Counter& stopped = successes.Add({{"finished_reason", "stop"}});
  prometheus::Counter& cut_at_length = successes.Add({{"finished_reason", "length"}});
  // Of all.
  prometheus::Histogram& inter_token =
      histogram(registry, "headwater_inter_token_latency_seconds",
                "Between two tokens of a request, as they arrive at its connection.", kTokenBounds);
  prometheus::Family<prometheus::Counter>& responses = prometheus::BuildCounter()
                                                           .Name("headwater_http_responses_total")
                                                           .Help("HTTP responses by status.")
                                                           .Register(registry);
  prometheus::Gauge& connections = prometheus::BuildGauge()
                                       .Name("headwater_connections")
                                       .Help("Open connections, HTTP and WebSocket.")
                                       .Register(registry)
                                       .Add({});
  RefusalCounts refused{};
  StatsCollector collector;
};

Metrics::Metrics(const Runtime& runtime) : families_(std::make_unique<Families>(runtime)) {}
Metrics::~Metrics() = default;

void Metrics::observe(const TokenEvent& event) {
  if (event.kind != TokenEvent::Kind::finished) return;
  Families& to = *families_;
  const Timings& times = event.timings;
  const std::uint32_t tokens = event.usage.completion_tokens;
  (event.finish_reason == FinishReason::length ? to.cut_at_length : to.stopped).Increment();
  to.whole.Observe(times.total_ms / 1000);
  to.queue.Observe(times.queue_ms / 1000);
  to.prompt_length.Observe(event.usage.prompt_tokens);
  to.answer_length.Observe(tokens);
  if (tokens == 0) return;
  to.ttft.Observe(times.ttft_ms / 1000);
  to.prefill.Observe((times.ttft_ms - times.queue_ms) / 1000);
  to.decode.Observe((times.total_ms - times.ttft_ms) / 1000);
  if (tokens > 1) to.per_token.Observe((times.total_ms - times.ttft_ms) / 1000 / (tokens - 1));
}

void Metrics::observe_gap(std::chrono::nanoseconds gap) {
  families_->inter_token.Observe(std::chrono::duration<double>(gap).count());
}

void Metrics::count_refused(ErrorCode code) { ++families_->refused[static_cast<std::size_t>(refusal_of(code))]; }

void Metrics::count_response(unsigned status) {
  families_->responses.Add({{"status", std::to_string(status)}}).Increment();
}

void Metrics::connection_opened() { families_->connections.Increment(); }
void Metrics::connection_closed() { families_->connections.Decrement(); }

std::string Metrics::text() const {
  auto all = families_->registry.Collect();
  for (auto& family : families_->collector.Collect()) all.push_back(std::move(family));
  for (auto& family : process_metrics()) all.push_back(std::move(family));
  all.push_back(model_info(families_->runtime.model()));
  all.push_back(build_info());
  return prometheus::TextSerializer().Serialize(all);
}

}  // namespace headwater::gateway
