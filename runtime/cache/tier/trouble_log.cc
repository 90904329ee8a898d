#include "cache/tier/trouble_log.h"

namespace headwater::cache {

std::optional<TroubleLog::Line> TroubleLog::on(const std::string& doing, const std::string& error, TimeNs now) {
  const auto known = told_.find(doing);
  if (error.empty()) {
    if (known == told_.end() || !known->second.open) return std::nullopt;
    known->second.open = false;
    return Line{false, "can " + doing + " again"};
  }
  const bool same = known != told_.end() && known->second.error == error;
  if (same && (known->second.open || now - known->second.at < kAgain)) return std::nullopt;
  told_[doing] = {error, now, true};
  return Line{true, "cannot " + doing + ": " + error + "; serving goes on without it, and it is tried again"};
}

}  // namespace headwater::cache
