#pragma once
// Says in the log which fields of requests were ignored: each name once, and no more of them than a log can bear.
//
// Threading: any thread.

#include <mutex>
#include <set>
#include <string>

#include "gateway/json_fields.h"

namespace headwater::gateway {

class UnknownFields {
 public:
  /// Names that are told in the life of a server.
  static constexpr std::size_t kMostNames = 64;

  /// What to say of these; empty where all of it has been said.
  std::vector<std::string> news(const IgnoredFields& ignored);
  /// Logs news().
  void tell(const IgnoredFields& ignored);

 private:
  std::mutex mutex_;
  std::set<std::string> told_;
  bool full_ = false;
};

}  // namespace headwater::gateway
