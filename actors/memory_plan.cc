#include "actors/memory_plan.h"

#include <array>
#include <cstdio>

#include "kernels/thread_probe.h"

namespace headwater::actors {
namespace {

using kernels::MemoryLimit;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30U;

/// The largest cache for which the plan fits `available`, as --cache-size-limit takes it. Empty: none does.
std::string cache_that_fits(const MemoryPlan& plan, const MemoryLimit& limit) {
  MemoryPlan others = plan;
  others.cache = others.tier = others.unused_addresses = 0;
  const std::uint64_t taken = others.total(limit.counts);
  if (taken >= limit.available || plan.cache == 0) return "";
  const double share = static_cast<double>(plan.cache) / static_cast<double>(plan.total(limit.counts) - taken);
  constexpr double kLeave = 0.95;  // what is available a moment later is another number
  const auto room = static_cast<std::uint64_t>(static_cast<double>(limit.available - taken) * share * kLeave);
  if (room >= 8 * kGiB) return std::to_string(room / kGiB) + "GiB";
  return room >= kMiB ? std::to_string(room / kMiB) + "MiB" : "";
}

Error too_large(const MemoryPlan& plan, const MemoryLimit& limit) {
  std::string parts = "weights " + readable_size(plan.weights) + ", KV cache " + readable_size(plan.cache);
  if (plan.tier > 0) parts += ", blocks under way to and from the disk " + readable_size(plan.tier);
  parts += ", computing " + readable_size(plan.work);
  if (limit.counts == MemoryLimit::Counts::reserved) {
    if (plan.unused_addresses > 0)
      parts += ", addresses of blocks without all rows " + readable_size(plan.unused_addresses);
    parts += ", threads' stacks " + readable_size(plan.stacks);
  }
  const std::string fits = cache_that_fits(plan, limit);
  return {
      ErrorCode::unavailable,
      "this topology takes " + readable_size(plan.total(limit.counts)) + " of memory (" + parts + "), and " +
          limit.whose + " leaves " + readable_size(limit.available) + " of " + readable_size(limit.limit) + "; " +
          (fits.empty() ? "give it more memory, or take a smaller model" : "--cache-size-limit " + fits + " would fit"),
      "cache_size_limit"};
}

}  // namespace

std::uint64_t MemoryPlan::total(MemoryLimit::Counts counts) const {
  return weights + cache + tier + work + (counts == MemoryLimit::Counts::reserved ? stacks + unused_addresses : 0);
}

Result<void> check_memory(const MemoryPlan& plan, const std::vector<MemoryLimit>& limits) {
  const MemoryLimit* worst = nullptr;
  std::uint64_t most_missing = 0;
  for (const MemoryLimit& limit : limits) {
    const std::uint64_t total = plan.total(limit.counts);
    if (total > limit.available && total - limit.available > most_missing) {
      most_missing = total - limit.available;
      worst = &limit;
    }
  }
  if (worst != nullptr) return too_large(plan, *worst);
  return {};
}

Result<void> check_threads(unsigned n) {
  const unsigned started = kernels::startable_threads(n);
  if (started == n) return {};
  return Error{ErrorCode::unavailable,
               "the system lets this process start " + std::to_string(started) + " more threads, and " +
                   std::to_string(n) +
                   " are needed; raise the limit of threads (ulimit -u, or pids.max of its control "
                   "group) or of addresses (ulimit -v), or pass --threads 1",
               "threads"};
}

std::string readable_size(std::uint64_t bytes) {
  std::array<char, 32> text{};
  if (bytes >= kGiB) {
    std::snprintf(text.data(), text.size(), "%.1f GiB", static_cast<double>(bytes) / static_cast<double>(kGiB));
  } else {
    std::snprintf(text.data(), text.size(), "%.0f MiB", static_cast<double>(bytes) / static_cast<double>(kMiB));
  }
  return text.data();
}

}  // namespace headwater::actors
