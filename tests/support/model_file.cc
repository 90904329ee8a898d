#include "tests/support/model_file.h"

#include <cstdlib>
#include <filesystem>

namespace headwater::test {

std::string real_model() {
  const char* named = std::getenv("HEADWATER_TEST_MODEL");
  const std::string path = named != nullptr ? named : "models/default.gguf";
  return std::filesystem::exists(path) ? path : "";
}

std::string reference_dir() {
  const std::string path = "tests/reference/data";
  return std::filesystem::exists(path) ? path : "";
}

}  // namespace headwater::test
