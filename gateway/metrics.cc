#include "gateway/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <atomic>

#include "gateway/stats_collector.h"

namespace headwater::gateway {
namespace {

prometheus::Histogram& histogram(prometheus::Registry& registry, const std::string& name, const std::string& help,
                                 const prometheus::Histogram::BucketBoundaries& bounds) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, bounds);
}

const prometheus::Histogram::BucketBoundaries kWaitBounds = {0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                             0.5,   1,     2.5,  5,     10,   30,  60};
const prometheus::Histogram::BucketBoundaries kTokenBounds = {0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02,
                                                              0.03,  0.05,   0.075, 0.1,    0.2,  0.5,   1};

}  // namespace

struct Metrics::Families {
  explicit Families(const Runtime& runtime) : collector(runtime, refused) {}

  prometheus::Registry registry;
  prometheus::Histogram& ttft =
      histogram(registry, "headwater_time_to_first_token_seconds", "From acceptance to the first token.", kWaitBounds);
  prometheus::Histogram& queue =
      histogram(registry, "headwater_queue_time_seconds",
                "From acceptance to the first step that worked on the request.", kWaitBounds);
  prometheus::Histogram& per_token =
      histogram(registry, "headwater_time_per_output_token_seconds",
                "Mean time between the tokens of a request, the first left out.", kTokenBounds);
  prometheus::Family<prometheus::Counter>& responses = prometheus::BuildCounter()
                                                           .Name("headwater_http_responses_total")
                                                           .Help("HTTP responses by status.")
                                                           .Register(registry);
  prometheus::Gauge& connections = prometheus::BuildGauge()
                                       .Name("headwater_connections")
                                       .Help("Open connections, HTTP and WebSocket.")
                                       .Register(registry)
                                       .Add({});
  std::atomic<std::uint64_t> refused{0};
  StatsCollector collector;
};

Metrics::Metrics(const Runtime& runtime) : families_(std::make_unique<Families>(runtime)) {}
Metrics::~Metrics() = default;

void Metrics::observe(const TokenEvent& event) {
  if (event.kind != TokenEvent::Kind::finished) return;
  families_->queue.Observe(event.timings.queue_ms / 1000);
  if (event.usage.completion_tokens == 0) return;
  families_->ttft.Observe(event.timings.ttft_ms / 1000);
  if (event.usage.completion_tokens == 1) return;
  families_->per_token.Observe((event.timings.total_ms - event.timings.ttft_ms) / 1000 /
                               (event.usage.completion_tokens - 1));
}

void Metrics::count_refused() { ++families_->refused; }

void Metrics::count_response(unsigned status) {
  families_->responses.Add({{"status", std::to_string(status)}}).Increment();
}

void Metrics::connection_opened() { families_->connections.Increment(); }
void Metrics::connection_closed() { families_->connections.Decrement(); }

std::string Metrics::text() const {
  auto all = families_->registry.Collect();
  for (auto& family : families_->collector.Collect()) all.push_back(std::move(family));
  return prometheus::TextSerializer().Serialize(all);
}

}  // namespace headwater::gateway
