#pragma once
// Finds the real model that tests use.
#include <ostream>
#include <string>
#include <vector>

namespace headwater::test {

/// The path of SmolLM2-135M-Instruct Q4_1: $HEADWATER_TEST_MODEL, else models/smollm2-135m.gguf, else
/// models/default.gguf. Empty where there is none; a test then calls GTEST_SKIP() and says so. `tools/test` always
/// fetches it first.
std::string real_model();

/// The folder with float32 results: tests/reference/data. Empty where it is missing.
std::string reference_dir();

/// A model that float32 results are known for.
struct ReferencedModel {
  std::string name;    ///< as `headwater model list` has it
  std::string folder;  ///< of its results
  /// Its file, models/NAME.gguf. Empty where it is not there.
  std::string path() const;
  /// One of its results, in tests/reference/data or else in $HEADWATER_REFERENCE. Empty where it is in neither.
  std::string results(const std::string& file) const;
  /// What a test that needs them says where they are not there; otherwise empty.
  std::string missing(const std::string& file) const;
};
/// For failures of tests that have one as their parameter.
inline void PrintTo(const ReferencedModel& model, std::ostream* out) { *out << model.name; }
const std::vector<ReferencedModel>& referenced_models();

}  // namespace headwater::test
