#pragma once
// One question to many actors, for callers that are none.

#include <caf/all.hpp>
#include <vector>

namespace headwater::actors {

/// Asks all at once, and gives `take` each Answer that comes within `patience` of now; the others are left out.
/// Threading: blocks the caller, who must not be one of CAF's threads.
template <class Answer, class Patience, class Question, class Take>
void ask_all(caf::actor_system& system, const std::vector<caf::actor>& actors, Patience patience,
             const Question& question, const Take& take) {
  caf::scoped_actor self(system);
  std::vector<decltype(self->request(caf::actor(), patience, question))> answers;
  answers.reserve(actors.size());
  for (const caf::actor& actor : actors) answers.push_back(self->request(actor, patience, question));
  for (auto& answer : answers) answer.receive([&](Answer& got) { take(got); }, [](const caf::error&) {});
}

}  // namespace headwater::actors
