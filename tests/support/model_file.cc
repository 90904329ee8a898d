#include "tests/support/model_file.h"

#include <cstdlib>
#include <filesystem>
#include <initializer_list>

namespace headwater::test {

namespace {

/// The first that is there, else none.
std::string first_of(std::initializer_list<std::string> paths) {
  for (const std::string& path : paths) {
    if (std::filesystem::exists(path)) return path;
  }
  return "";
}

}  // namespace

std::string real_model() {
  const char* named = std::getenv("HEADWATER_TEST_MODEL");
  if (named != nullptr) return first_of({named});
  return first_of({"models/smollm2-135m.gguf", "models/default.gguf"});
}

std::string reference_dir() {
  const std::string path = "tests/reference/data";
  return std::filesystem::exists(path) ? path : "";
}

std::string ReferencedModel::path() const {
  return name == "smollm2-135m" ? real_model() : first_of({"models/" + name + ".gguf"});
}

std::string ReferencedModel::results(const std::string& file) const {
  const char* named = std::getenv("HEADWATER_REFERENCE");
  const std::string others = named != nullptr ? named : reference_dir();
  return first_of({reference_dir() + "/" + folder + "/" + file, others + "/" + folder + "/" + file});
}

std::string ReferencedModel::missing(const std::string& file) const {
  if (path().empty()) return "models/" + name + ".gguf is not there; `tools/test --models " + name + "` fetches it";
  if (!results(file).empty()) return "";
  return folder + "/" + file + " is not in " + reference_dir() + "; HEADWATER_REFERENCE names a folder that has it";
}

const std::vector<ReferencedModel>& referenced_models() {
  static const std::vector<ReferencedModel> models = {{"smollm2-135m", "smollm2"},
                                                      {"qwen2.5-coder-0.5b", "qwen2.5-coder-0.5b"},
                                                      {"qwen2.5-coder-1.5b", "qwen2.5-coder-1.5b"},
                                                      {"gemma3-270m", "gemma3"}};
  return models;
}

}  // namespace headwater::test
