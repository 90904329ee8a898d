// Memory that is refused while handlers run: every request still gets exactly one terminal event, and the next ones are
// answered. This program has an operator new of its own, which fails once, at the n-th call of the runtime's threads.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "tests/actors/graph_fixture.h"

namespace {

/// What is smaller is served out of the reserve (kernels/memory_reserve.h), and never fails.
constexpr std::size_t kSmall = 96;

thread_local bool exempt = false;          ///< the test's own threads
std::atomic<std::int64_t> calls_left{-1};  ///< until one fails; below 0: none does

bool fails_now(std::size_t bytes) {
  if (bytes < kSmall || exempt || calls_left.load() < 0) return false;
  return calls_left.fetch_sub(1) == 0;
}

}  // namespace

// Not inlined: GCC would take new and free() for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (fails_now(bytes)) throw std::bad_alloc();
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace headwater::test {
namespace {

/// The log is the test's: what it allocates does not fail.
EventHandler unfailing(EventHandler handler) {
  return [handler = std::move(handler)](std::span<const TokenEvent> events) {
    exempt = true;
    handler(events);
    exempt = false;
  };
}

/// Asks until an answer comes: the stage that failed may fail one more request while it is made anew.
bool answers_again(Graph& graph) {
  EventLog log;
  const auto client = graph.runtime().connect(unfailing(log.handler()));
  for (int attempt = 0; attempt < 3; ++attempt) {
    const std::vector<TokenId> prompt = prompt_of(99, 20);
    const auto ticket = client->submit(ask(prompt, 4));
    if (!ticket) continue;
    const Outcome outcome = log.wait(ticket->id);
    if (outcome.ended() && outcome.tokens() == FakeModel::answer(prompt, 4)) return true;
  }
  return false;
}

/// Serves a few requests with a failure at call `n`. Gives whether so many calls were made.
bool serve_with_failure_at(std::int64_t n) {
  Graph graph;
  EventLog log;
  const auto client = graph.runtime().connect(unfailing(log.handler()));
  calls_left = n;
  std::vector<RequestId> sent;
  for (std::uint32_t i = 0; i < 3; ++i) {
    Request request = ask(prompt_of(i, 40 + 9 * i), 5);
    request.params.logprobs = 3;
    if (const auto ticket = client->submit(std::move(request))) sent.push_back(ticket->id);
  }
  for (const RequestId id : sent) {
    const Outcome outcome = log.wait(id);
    EXPECT_TRUE(outcome.ended()) << "request " << id << " has no end after a failure at call " << n;
    if (!outcome.ended()) return false;
    if (outcome.last().kind == TokenEvent::Kind::failed) {
      const unsigned status = status_of(outcome.last().error.code);
      EXPECT_TRUE(status == 503 || status == 500) << outcome.last().error.message;
    }
  }
  const bool fired = calls_left.exchange(-1) < 0;
  EXPECT_TRUE(answers_again(graph)) << "after a failure at call " << n;
  EXPECT_EQ(log.violations(), 0) << n;
  graph.expect_settled();
  return fired;
}

TEST(AllocationFailure, CostsRequestsOneTerminalEventAndTheServerGoesOn) {
  exempt = true;
  int failures = 0;
  for (std::int64_t n = 0; serve_with_failure_at(n) && !HasFailure(); n += 1 + n / 100) ++failures;
  EXPECT_GT(failures, 100);
}

}  // namespace
}  // namespace headwater::test
