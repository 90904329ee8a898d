#include "schedule/length_guess.h"

#include <algorithm>

namespace headwater::schedule {

RestOfAnswer RestOfAnswer::certain(std::uint32_t tokens) {
  RestOfAnswer rest;
  rest.least_ = rest.most_ = tokens;
  return rest;
}

double RestOfAnswer::outlasts(double tokens) const {
  if (tokens < least_) return 1;
  if (tokens >= most_) return 0;
  const double length = generated_ + tokens;
  const auto longer = static_cast<double>(
      ends_.end() - std::ranges::upper_bound(ends_, length, {}, [&](double end) { return end * unit_; }));
  double beyond = 1;  // of one that gets longer than all
  if (length >= tail_) beyond = top_ > tail_ ? std::max(top_ - length, 0.0) / (top_ - tail_) : 0;
  return (longer + beyond) / (static_cast<double>(ends_.size()) + 1);
}

double RestOfAnswer::quantile(double p) const {
  const auto n = static_cast<double>(ends_.size());
  const double place = p * (n + 1);
  const double length =
      place < n ? ends_[static_cast<std::size_t>(place)] * unit_ : tail_ + (place - n) * (top_ - tail_);
  return std::clamp(length - generated_, least_, most_);
}

void LengthGuess::ended(const AdmittedRequest& request, std::uint32_t tokens) {
  if (tokens == 0) return;
  Kind& kind = kinds_[answer_kind(request.request)];
  const double length = tokens / answer_unit(request.request);
  if (kind.latest.size() < kKept) {
    kind.latest.push_back(length);
  } else {
    double& oldest = kind.latest[kind.next];
    kind.sorted.erase(std::ranges::lower_bound(kind.sorted, oldest));
    oldest = length;
    kind.next = (kind.next + 1) % kKept;
  }
  kind.sorted.insert(std::ranges::upper_bound(kind.sorted, length), length);
}

RestOfAnswer LengthGuess::rest(const AdmittedRequest& request, std::uint32_t generated) const {
  const auto& params = request.request.params;
  const std::uint32_t most = request.max_new_tokens;
  const std::uint32_t left = most > generated ? most - generated : 0;
  if (params.ignore_eos) return RestOfAnswer::certain(left);
  RestOfAnswer rest;
  rest.generated_ = generated;
  rest.most_ = left;
  rest.least_ = std::min(params.min_tokens > generated ? params.min_tokens - generated : 0, left);
  rest.unit_ = answer_unit(request.request);
  const std::vector<double>& known = kinds_[answer_kind(request.request)].sorted;
  const auto longer = std::ranges::upper_bound(known, generated / rest.unit_);
  rest.ends_ = std::span(known).subspan(static_cast<std::size_t>(longer - known.begin()));
  rest.tail_ = std::clamp<double>(known.empty() ? 0 : known.back() * rest.unit_, generated, generated + left);
  // Who outlives all that are known goes on for as long again at most, as far as anybody can tell.
  rest.top_ = known.size() < kFew ? most : std::min<double>(most, std::max(2 * rest.tail_, 1.0));
  return rest;
}

}  // namespace headwater::schedule
