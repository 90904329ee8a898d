#pragma once
// Finds the real model that tests use.
#include <string>

namespace headwater::test {

/// The path of SmolLM2-135M-Instruct Q4_1: $HEADWATER_TEST_MODEL, else models/default.gguf. Empty where there is
/// none; a test then calls GTEST_SKIP() and says so. `tools/test` always fetches it first.
std::string real_model();

/// The folder with float32 results: tests/reference/data. Empty where it is missing.
std::string reference_dir();

}  // namespace headwater::test
