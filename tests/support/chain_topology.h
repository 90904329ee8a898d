#pragma once
// A topology for tests that bring a model of their own: one stage of each kind, without a gateway.

#include <string>

namespace headwater::test {

/// `cache`: what stands between the braces of the topology's `cache`; `scheduling`: likewise, more of the scheduler's.
inline std::string chain_topology(const std::string& cache, unsigned max_batch_size, unsigned max_step_tokens = 512,
                                  const std::string& scheduling = "") {
  return R"(name: chain
model: { path: set by the test }
cache: { )" +
         cache + R"( }
stages:
  - { id: tok,   kind: tokenizer,      to: [match] }
  - { id: match, kind: prefix_matcher, to: [sched] }
  - { id: sched, kind: scheduler,      args: { max_batch_size: )" +
         std::to_string(max_batch_size) + ", max_step_tokens: " + std::to_string(max_step_tokens) +
         (scheduling.empty() ? "" : ", " + scheduling) +
         R"( }, to: [exec] }
  - { id: exec,  kind: executor,       to: [detok], feedback: [sched] }
  - { id: evict, kind: cache_evictor,  args: { policy: lru }, feedback: [sched, match] }
  - { id: detok, kind: detokenizer,    to: [gateway] }
)";
}

}  // namespace headwater::test
