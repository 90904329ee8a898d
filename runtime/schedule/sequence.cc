#include "schedule/sequence.h"

#include <algorithm>

namespace headwater::schedule {

std::uint32_t Sequence::uncomputed_after_step() const {
  // The last token of an answer is never an input.
  const std::uint64_t most =
      std::max<std::uint64_t>(std::uint64_t{request->prompt.size()} + request->max_new_tokens, 1);
  const bool grows = planned > 0 && planned == uncomputed() && tokens.size() + 1 < most;
  return uncomputed() - planned + (grows ? 1 : 0);
}

void WaitingQueue::push_back(Sequence* sequence) {
  const ConnectionId connection = sequence->request->connection;
  const auto turn = std::ranges::find(turns_, connection, &Turn::connection);
  if (turn == turns_.end()) {
    turns_.push_back({connection, {sequence}});
  } else {
    turn->sequences.push_back(sequence);
  }
}

void WaitingQueue::push_front(Sequence* sequence) {
  // Older ones stay in front, so that what was preempted returns in the order of arrival.
  const auto place = std::ranges::find_if(urgent_, [&](const Sequence* other) { return other->age > sequence->age; });
  urgent_.insert(place, sequence);
}

std::vector<Sequence*> WaitingQueue::first(std::size_t n) const {
  std::vector<Sequence*> chosen(urgent_.begin(), urgent_.begin() + std::ptrdiff_t(std::min(n, urgent_.size())));
  bool more = true;
  for (std::size_t round = 0; more && chosen.size() < n; ++round) {
    more = false;
    for (const Turn& turn : turns_) {
      if (round >= turn.sequences.size() || chosen.size() >= n) continue;
      chosen.push_back(turn.sequences[round]);
      more = true;
    }
  }
  return chosen;
}

void WaitingQueue::take(Sequence* sequence) {
  if (std::erase(urgent_, sequence) > 0) return;
  const auto turn = std::ranges::find(turns_, sequence->request->connection, &Turn::connection);
  if (turn == turns_.end()) return;
  turns_.splice(turns_.end(), turns_, turn);
  remove(sequence);
}

void WaitingQueue::remove(Sequence* sequence) {
  if (std::erase(urgent_, sequence) > 0) return;
  const auto turn = std::ranges::find(turns_, sequence->request->connection, &Turn::connection);
  if (turn == turns_.end()) return;
  std::erase(turn->sequences, sequence);
  if (turn->sequences.empty()) turns_.erase(turn);
}

}  // namespace headwater::schedule
