#include "schedule/tenant_credit.h"

#include <algorithm>

namespace headwater::schedule {
namespace {

/// Of all credit, which those who are over their share leave to others.
constexpr std::uint32_t kReserve = 8;
constexpr std::size_t kMostAbsent = 256;

}  // namespace

TenantCredit::Answer TenantCredit::take(const std::string& tenant, TimeNs now) {
  forget_absent(now);
  Tenant& asking = tenants_[tenant];
  asking.asked = now;
  if (taken_ >= most_) return Answer::none_left;
  if (tenants_.size() > 1) {
    const auto share = std::max<std::size_t>(most_ / tenants_.size(), 1);
    const std::uint32_t reserve = std::max(most_ / kReserve, 1U);
    if (asking.taken >= share && taken_ + reserve >= most_) return Answer::share_used;
  }
  ++taken_;
  ++asking.taken;
  return Answer::taken;
}

void TenantCredit::give_back(const std::string& tenant) {
  --taken_;
  --tenants_.at(tenant).taken;
}

/// Looks at all of them every now and then: a server has few tenants.
void TenantCredit::forget_absent(TimeNs now) {
  if (now - looked_ < kAbout / 10 && tenants_.size() < kMostAbsent) return;
  looked_ = now;
  std::erase_if(tenants_, [&](const auto& one) { return one.second.taken == 0 && now - one.second.asked > kAbout; });
}

}  // namespace headwater::schedule
