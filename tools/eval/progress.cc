#include "tools/eval/progress.h"

#include <algorithm>
#include <cstdio>
#include <ostream>

#include "model/model_info.h"

namespace headwater::eval {
namespace {

constexpr double kRedraw_s = 0.1;
constexpr double kTell_s = 20;
constexpr std::uint64_t kBarWidth = 30;

}  // namespace

Progress::Progress(std::ostream& out, bool terminal, std::uint64_t total, std::string unit,
                   std::function<double()> seconds)
    : out_(out),
      terminal_(terminal),
      total_(std::max<std::uint64_t>(total, 1)),
      unit_(std::move(unit)),
      seconds_(std::move(seconds)),
      began_(seconds_()),
      told_(began_) {}

void Progress::advance(std::uint64_t n) {
  done_ = std::min(done_ + n, total_);
  const double now = seconds_();
  if (now - told_ < (terminal_ ? kRedraw_s : kTell_s)) return;
  told_ = now;
  out_ << (terminal_ ? "\r\033[K" + bar(now) : sentence(now) + "\n") << std::flush;
  drawn_ = terminal_;
}

void Progress::clear() {
  if (drawn_) out_ << "\r\033[K" << std::flush;
  drawn_ = false;
}

std::string Progress::bar(double now) const {
  const std::uint64_t full = kBarWidth * done_ / total_;
  return "[" + std::string(full, '#') + std::string(kBarWidth - full, '.') + "] " + sentence(now);
}

std::string Progress::sentence(double now) const {
  return label_ + (label_.empty() ? "" : ": ") + std::to_string(100 * done_ / total_) + " % of " +
         model::with_commas(total_) + " " + unit_ + left(now);
}

/// At the speed so far.
std::string Progress::left(double now) const {
  if (done_ == 0) return "";
  const double seconds = (now - began_) * static_cast<double>(total_ - done_) / static_cast<double>(done_);
  const auto whole = static_cast<unsigned>(std::clamp(seconds, 0.0, 1e6));
  char text[48];
  std::snprintf(text, sizeof text, ", %u:%02u left", whole / 60, whole % 60);
  return text;
}

}  // namespace headwater::eval
