#pragma once
// The runtime's Stats as Prometheus metrics, read when they are asked for.
// Threading: any number of threads may collect; each waits for the runtime's stages.

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <array>
#include <atomic>

#include "headwater/runtime.h"

namespace headwater::gateway {

/// By Refusal.
using RefusalCounts = std::array<std::atomic<std::uint64_t>, kRefusalNames.size()>;

class StatsCollector : public prometheus::Collectable {
 public:
  /// `refused`: requests that the gateway refused itself; added to those of the runtime. Both outlive this.
  StatsCollector(const Runtime& runtime, const RefusalCounts& refused) : runtime_(runtime), refused_(refused) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const Runtime& runtime_;
  const RefusalCounts& refused_;
};

}  // namespace headwater::gateway
