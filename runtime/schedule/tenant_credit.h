#pragma once
// How many requests may be under way, of all and of one tenant: alone a tenant may have all the credit; where others
// are about, one that has more than its share leaves some for them.
//
// Threading: one caller at a time.

#include <cstdint>
#include <string>
#include <unordered_map>

#include "base/time.h"

namespace headwater::schedule {

class TenantCredit {
 public:
  /// Who has asked in this time is about, whether it got credit or not.
  static constexpr TimeNs kAbout = 10'000'000'000;

  explicit TenantCredit(std::uint32_t most) : most_(most) {}

  enum class Answer : std::uint8_t { taken, none_left, share_used };
  Answer take(const std::string& tenant, TimeNs now);
  /// REQUIRES: the tenant has some.
  void give_back(const std::string& tenant);
  std::uint32_t taken() const { return taken_; }

 private:
  struct Tenant {
    std::uint32_t taken = 0;
    TimeNs asked = 0;
  };
  void forget_absent(TimeNs now);

  std::uint32_t most_;
  std::uint32_t taken_ = 0;
  TimeNs looked_ = 0;
  std::unordered_map<std::string, Tenant> tenants_;
};

}  // namespace headwater::schedule
