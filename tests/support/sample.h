#pragma once
// Long tests run as a sample, and whole where HEADWATER_TEST_ALL is set, as `tools/test --all` does.

#include <cstdlib>
#include <string_view>

namespace headwater::test {

/// Whether long tests run whole.
inline bool runs_all() {
  const char* all = std::getenv("HEADWATER_TEST_ALL");
  return all != nullptr && std::string_view(all) != "0" && !std::string_view(all).empty();
}

/// How much of a long test runs: rounds, seeds, cases.
template <class T>
T sampled(T sample, T whole) {
  return runs_all() ? whole : sample;
}

/// What a test says that is no part of the sample: `if (!runs_all()) GTEST_SKIP() << kNotInTheSample;`
inline constexpr const char* kNotInTheSample = "left out of the sample; tools/test --all runs it";

}  // namespace headwater::test
