#include "schedule/sequence.h"

#include <algorithm>
#include <utility>

namespace headwater::schedule {

std::uint32_t Sequence::uncomputed_after_step() const {
  // The last token of an answer is never an input.
  const std::uint64_t most =
      std::max<std::uint64_t>(std::uint64_t{request->prompt.size()} + request->max_new_tokens, 1);
  const bool grows = planned > 0 && planned == uncomputed() && tokens.size() + 1 < most;
  return uncomputed() - planned + (grows ? 1 : 0);
}

WaitingQueue::Tenant& WaitingQueue::tenant(const std::string& name) {
  constexpr std::size_t kMostIdle = 1024;
  if (tenants_.size() >= kMostIdle) forget_idle();
  Tenant& tenant = tenants_[name];
  if (tenant.turns.empty()) tenant.served = std::max(tenant.served, floor_);
  return tenant;
}

/// What would be raised to the floor need not be known; where that is not enough, no more is owed.
void WaitingQueue::forget_idle() {
  const auto forget = [&](bool owing) {
    std::erase_if(tenants_,
                  [&](const auto& one) { return one.second.turns.empty() && (owing || one.second.served <= floor_); });
  };
  const std::size_t before = tenants_.size();
  forget(false);
  if (tenants_.size() == before) forget(true);
}

void WaitingQueue::charge(const std::string& name, std::uint32_t tokens) { tenant(name).served += tokens; }

void WaitingQueue::push_back(Sequence* sequence) {
  const ConnectionId connection = sequence->request->connection;
  std::list<Turn>& turns = tenant(sequence->request->request.tenant).turns;
  const auto turn = std::ranges::find(turns, connection, &Turn::connection);
  if (turn == turns.end()) {
    turns.push_back({connection, {sequence}});
  } else {
    turn->sequences.push_back(sequence);
  }
}

void WaitingQueue::push_front(Sequence* sequence) {
  // Older ones stay in front, so that what was preempted returns in the order of arrival.
  const auto place = std::ranges::find_if(urgent_, [&](const Sequence* other) { return other->age > sequence->age; });
  urgent_.insert(place, sequence);
}

/// The first `n` of one tenant.
std::vector<Sequence*> WaitingQueue::order(const Tenant& tenant, std::size_t n) {
  std::vector<Sequence*> chosen;
  bool more = true;
  for (std::size_t round = 0; more && chosen.size() < n; ++round) {
    more = false;
    for (const Turn& turn : tenant.turns) {
      if (round >= turn.sequences.size() || chosen.size() >= n) continue;
      chosen.push_back(turn.sequences[round]);
      more = true;
    }
  }
  return chosen;
}

std::vector<Sequence*> WaitingQueue::first(std::size_t n) const {
  std::vector<Sequence*> chosen(urgent_.begin(), urgent_.begin() + std::ptrdiff_t(std::min(n, urgent_.size())));
  struct Line {
    std::uint64_t served;
    std::vector<Sequence*> sequences;
    std::size_t next = 0;
  };
  std::vector<Line> lines;
  for (const auto& [name, tenant] : tenants_) {
    if (!tenant.turns.empty()) lines.push_back({tenant.served, order(tenant, n - chosen.size())});
  }
  while (chosen.size() < n) {
    Line* least = nullptr;
    for (Line& line : lines) {
      if (line.next == line.sequences.size()) continue;
      const auto rank = [](const Line& one) { return std::pair(one.served, one.sequences[one.next]->age); };
      if (least == nullptr || rank(line) < rank(*least)) least = &line;
    }
    if (least == nullptr) break;
    chosen.push_back(least->sequences[least->next++]);
    least->served += chosen.back()->uncomputed();
  }
  return chosen;
}

std::optional<WaitingQueue::Place> WaitingQueue::place_of(const Sequence& sequence) {
  const auto tenant = tenants_.find(sequence.request->request.tenant);
  if (tenant == tenants_.end()) return std::nullopt;
  std::list<Turn>& turns = tenant->second.turns;
  const auto turn = std::ranges::find(turns, sequence.request->connection, &Turn::connection);
  if (turn == turns.end()) return std::nullopt;
  return Place{&tenant->second, turn};
}

void WaitingQueue::remove_from(const Place& place, Sequence* sequence) {
  std::erase(place.turn->sequences, sequence);
  if (place.turn->sequences.empty()) place.tenant->turns.erase(place.turn);
}

void WaitingQueue::take(Sequence* sequence) {
  if (std::erase(urgent_, sequence) > 0) return;
  const auto place = place_of(*sequence);
  if (!place) return;
  std::list<Turn>& turns = place->tenant->turns;
  turns.splice(turns.end(), turns, place->turn);
  floor_ = std::max(floor_, place->tenant->served);
  place->tenant->served += sequence->uncomputed();
  remove_from(*place, sequence);
}

void WaitingQueue::remove(Sequence* sequence) {
  if (std::erase(urgent_, sequence) > 0) return;
  if (const auto place = place_of(*sequence)) remove_from(*place, sequence);
}

}  // namespace headwater::schedule
