#pragma once
// The built `headwater` command, run by a shell in a folder of the test's own.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/support/tiny_gguf.h"

namespace headwater::test {

struct Ran {
  int status = -1;
  std::string out, err;
};

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class Cli : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::temp_directory_path() / ("headwater_cli_" + std::to_string(getpid()));
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name)) << text;
    return path(name);
  }

  /// `arguments` are shell words; `before`, too, and stands before the command.
  Ran run(const std::string& arguments, const std::string& input = "", const std::string& before = "") const {
    const std::string command = before + " " + HEADWATER_BINARY + " " + arguments + " < " + write("in", input) + " > " +
                                path("out") + " 2> " + path("err");
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(path("out")), slurp(path("err"))};
  }

  std::string tiny_model() const {
    write_tiny_llama(path("tiny.gguf"), {});
    return path("tiny.gguf");
  }

 private:
  std::filesystem::path dir_;
};

}  // namespace headwater::test
