#pragma once
// What Prometheus' client libraries tell of every process, under their names.

#include <prometheus/metric_family.h>

#include <vector>

namespace headwater::gateway {

/// process_cpu_seconds_total, process_resident_memory_bytes and the like, read from /proc now. What cannot be read,
/// such as the number of open files where none can be opened any more, is left out.
std::vector<prometheus::MetricFamily> process_metrics();

}  // namespace headwater::gateway
