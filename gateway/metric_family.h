#pragma once
// Families of metrics from plain numbers.

#include <prometheus/metric_family.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace headwater::gateway {

prometheus::MetricFamily metric_family(std::string name, std::string help, prometheus::MetricType type);

/// Adds a counter's or gauge's value with these labels.
void add_metric(prometheus::MetricFamily& family, double value,
                std::vector<prometheus::ClientMetric::Label> labels = {});

prometheus::MetricFamily single_metric(std::string name, std::string help, prometheus::MetricType type, double value);

/// `counts` holds how many values fell into each bucket, the last one for those above all bounds.
prometheus::MetricFamily histogram_metric(std::string name, std::string help, std::span<const double> bounds,
                                          std::span<const std::uint64_t> counts, double sum);

}  // namespace headwater::gateway
