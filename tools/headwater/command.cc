#include "tools/headwater/command.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

#include "model/pretokenizer.h"

namespace headwater::tools {
namespace {

constexpr std::size_t kMaxPromptBytes = 64 << 20;

/// At most `max_bytes` + 1.
Result<std::string> read_all(std::FILE* file, const std::string& name, std::size_t max_bytes) {
  std::string text;
  char buffer[1 << 14];
  while (text.size() <= max_bytes) {
    const std::size_t wanted = std::min(sizeof buffer, max_bytes + 1 - text.size());
    const std::size_t got = std::fread(buffer, 1, wanted, file);
    text.append(buffer, got);
    if (got < wanted) break;
  }
  if (std::ferror(file) != 0)
    return Error{ErrorCode::read_failed, "cannot read " + name + ": " + std::strerror(errno), ""};
  return text;
}

}  // namespace

int fail(const std::string& message) {
  std::fflush(stdout);
  const bool ended = !message.empty() && message.back() == '\n';
  std::fprintf(stderr, "headwater: %s%s", message.c_str(), ended ? "" : "\n");
  return kFailed;
}

int fail(const Error& error) {
  // What Runtime::start() says of flags alone; the topology's own mistakes have the place in the file before them.
  const bool usage = error.code == ErrorCode::invalid_topology && error.message.starts_with("command line: ");
  fail(error.message);
  return usage ? kWrongUsage : kFailed;
}

std::string model_file(const std::string& name) {
  namespace fs = std::filesystem;
  std::error_code failed;
  if (name.find('/') != std::string::npos || fs::exists(name, failed)) return name;
  const std::string pulled = "models/" + name + ".gguf";
  return fs::exists(pulled, failed) ? pulled : name;
}

std::string wrong_pre_tokenizer(const std::string& name) {
  const auto known = model::Pretokenizer::by_name(name);
  return known ? "" : known.error().message;
}

namespace {
std::string& trace_option() {
  static std::string file;
  return file;
}
}  // namespace

void add_trace(CLI::App& command) {
  command.add_option("--trace", trace_option(),
                     "write where the time of each step went, for ui.perfetto.dev or chrome://tracing");
}

const std::string& trace_file() { return trace_option(); }

Result<std::string> read_file(const std::string& path, std::size_t max_bytes) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (file == nullptr) return Error{ErrorCode::open_failed, "cannot open " + path + ": " + std::strerror(errno), ""};
  return read_all(file.get(), path, max_bytes);
}

Result<std::string> read_stdin(std::size_t max_bytes) {
  auto text = read_all(stdin, "standard input", max_bytes);
  if (text && text->size() > max_bytes) {
    return Error{ErrorCode::too_large, "standard input has more than " + std::to_string(max_bytes) + " bytes", ""};
  }
  return text;
}

Result<std::string> text_or_stdin(const std::string& text) {
  return text == "-" ? read_stdin(kMaxPromptBytes) : Result<std::string>(text);
}

void print(std::string_view text) {
  static const bool terminal = isatty(STDOUT_FILENO) != 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool control = (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F;
    if (!terminal || !control) std::fputc(c, stdout);
  }
  std::fflush(stdout);
}

}  // namespace headwater::tools
