#include "gateway/metric_family.h"

#include <limits>

namespace headwater::gateway {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily metric_family(std::string name, std::string help, MetricType type) {
  MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = type;
  return family;
}

void add_metric(MetricFamily& family, double value, std::vector<ClientMetric::Label> labels) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family.type == MetricType::Counter) metric.counter.value = value;
  if (family.type == MetricType::Gauge) metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

MetricFamily single_metric(std::string name, std::string help, MetricType type, double value) {
  MetricFamily result = metric_family(std::move(name), std::move(help), type);
  add_metric(result, value);
  return result;
}

MetricFamily histogram_metric(std::string name, std::string help, std::span<const double> bounds,
                              std::span<const std::uint64_t> counts, double sum) {
  MetricFamily result = metric_family(std::move(name), std::move(help), MetricType::Histogram);
  ClientMetric metric;
  std::uint64_t so_far = 0;
  for (std::size_t i = 0; i <= bounds.size(); ++i) {
    so_far += i < counts.size() ? counts[i] : 0;
    const double bound = i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back({so_far, bound});
  }
  metric.histogram.sample_count = so_far;
  metric.histogram.sample_sum = sum;
  result.metric.push_back(std::move(metric));
  return result;
}

}  // namespace headwater::gateway
