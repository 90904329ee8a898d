#include "tools/headwater/keys.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <cstring>
#include <sstream>
#include <string_view>

#include "tools/headwater/command.h"

namespace headwater::tools {
namespace {

constexpr std::size_t kMostBytes = 1 << 20;
constexpr std::string_view kSpaces = " \t\r";

void warn_if_others_read(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && (info.st_mode & (S_IRGRP | S_IROTH)) != 0) {
    spdlog::warn("{} holds keys, and others than its owner may read it; chmod 600 {}", path, path);
  }
}

}  // namespace

Result<std::vector<std::string>> read_keys(const std::string& path) {
  const auto text = read_file(path, kMostBytes);
  if (!text) return text.error();
  if (text->size() > kMostBytes) {
    return Error{ErrorCode::too_large, path + " has more than " + std::to_string(kMostBytes) + " bytes", ""};
  }
  std::vector<std::string> keys;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t begin = line.find_first_not_of(kSpaces);
    if (begin == std::string::npos || line[begin] == '#') continue;
    keys.push_back(line.substr(begin, line.find_last_not_of(kSpaces) + 1 - begin));
  }
  if (keys.empty()) return Error{ErrorCode::invalid_file, path + " holds no key; write one a line", ""};
  warn_if_others_read(path);
  return keys;
}

void hide_keys(int argc, char** argv) {
  const auto hide = [](char* text) { std::memset(text, 'x', std::strlen(text)); };
  for (int i = 1; i < argc; ++i) {
    for (const std::string_view option : {"--api-key", "--admin-key"}) {
      const std::string_view given = argv[i];
      if (given == option && i + 1 < argc) hide(argv[i + 1]);
      if (given.starts_with(option) && given.substr(option.size()).starts_with('=')) {
        hide(argv[i] + option.size() + 1);
      }
    }
  }
}

}  // namespace headwater::tools
