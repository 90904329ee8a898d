#pragma once
// The runtime's Stats as Prometheus metrics, read when they are asked for.

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <atomic>

#include "headwater/runtime.h"

namespace headwater::gateway {

class StatsCollector : public prometheus::Collectable {
 public:
  /// `refused`: requests that the gateway refused itself; added to the runtime's rejected ones. Both outlive this.
  StatsCollector(const Runtime& runtime, const std::atomic<std::uint64_t>& refused)
      : runtime_(runtime), refused_(refused) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const Runtime& runtime_;
  const std::atomic<std::uint64_t>& refused_;
};

}  // namespace headwater::gateway
