#pragma once
// A sound topology to spoil, and what the checker says of it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "topology/topology.h"

namespace headwater::topology {

inline const std::string kSound =
    "name: sound\n"                                                       // 1
    "model: { path: m.gguf }\n"                                           // 2
    "cache: { cache_size_limit: 2GiB }\n"                                 // 3
    "stages:\n"                                                           // 4
    "  - { id: tok, kind: tokenizer, to: [match] }\n"                     // 5
    "  - { id: match, kind: prefix_matcher, to: [sched] }\n"              // 6
    "  - { id: sched, kind: scheduler, to: [exec] }\n"                    // 7
    "  - { id: exec, kind: executor, to: [detok], feedback: [sched] }\n"  // 8
    "  - { id: evict, kind: cache_evictor, feedback: [sched, match] }\n"  // 9
    "  - { id: detok, kind: detokenizer, to: [gateway] }\n"               // 10
    "gateway: { listen: 127.0.0.1:8080, to: [tok] }\n";                   // 11

/// kSound with one place changed. Throws where `from` does not stand in it.
inline std::string with(const std::string& from, const std::string& to, std::string yaml = kSound) {
  const std::size_t at = yaml.find(from);
  if (at == std::string::npos) throw std::logic_error("not in the topology: " + from);
  return yaml.replace(at, from.size(), to);
}

inline std::string report(const std::string& yaml, const Overrides& overrides = {},
                          const StageCatalog& catalog = builtin_catalog()) {
  return parse(yaml, "t.yaml", catalog, overrides).report("t.yaml");
}

/// The topology; throws with the report where there is a problem.
inline Topology sound(const std::string& yaml, const Overrides& overrides = {},
                      const StageCatalog& catalog = builtin_catalog()) {
  auto outcome = parse(yaml, "t.yaml", catalog, overrides);
  if (!outcome.topology) throw std::runtime_error(outcome.report("t.yaml"));
  return *outcome.topology;
}

}  // namespace headwater::topology
