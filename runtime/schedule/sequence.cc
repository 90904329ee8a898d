#include "schedule/sequence.h"

#include <algorithm>

namespace headwater::schedule {

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

Sequence* WaitingQueue::front() const {
  if (!urgent_.empty()) return urgent_.front();
  return turns_.empty() ? nullptr : turns_.front().sequences.front();
}

void WaitingQueue::remove(Sequence* sequence) {
  std::erase(urgent_, sequence);
  for (Turn& turn : turns_) std::erase(turn.sequences, sequence);
  turns_.remove_if([](const Turn& turn) { return turn.sequences.empty(); });
}

void WaitingQueue::pop() {
  if (!urgent_.empty()) {
    urgent_.pop_front();
    return;
  }
  turns_.front().sequences.pop_front();
  if (turns_.front().sequences.empty()) {
    turns_.pop_front();
  } else {
    turns_.splice(turns_.end(), turns_, turns_.begin());
  }
}

void WaitingQueue::clear() {
  urgent_.clear();
  turns_.clear();
}

}  // namespace headwater::schedule
