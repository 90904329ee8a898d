// The texts that evaluations measure models over.

#include <algorithm>

#include "tools/headwater/eval.h"

namespace headwater::tools {

Result<std::vector<eval::Document>> read_documents(const std::string& path, const model::Tokenizer& tokenizer) {
  const auto text = read_eval_file(path);
  if (!text) return text.error();
  if (path.ends_with(".jsonl")) return eval::record_documents(*text, path, tokenizer);
  auto document = eval::text_document(*text, path, tokenizer);
  if (!document) return document.error();
  return std::vector<eval::Document>{std::move(*document)};
}

void add_window_options(CLI::App& command, WindowOptions& options, const std::string& usual) {
  command.add_option("--window", options.window, "tokens that are computed together; 0: " + usual)
      ->check(CLI::IsMember({0}) | CLI::Range(2, 1 << 24))
      ->capture_default_str();
  command.add_option("--stride", options.stride, "tokens from one window to the next; 0: half a window")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  command.add_option("--limit", options.limit, "windows in all, from the beginning; 0: all")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str();
}

Result<eval::WindowSizes> window_sizes(const WindowOptions& options, std::uint32_t context, std::uint32_t usual) {
  if (options.window > context) {
    return Error{ErrorCode::invalid_window,
                 "--window " + std::to_string(options.window) + " is beyond the model's " + std::to_string(context),
                 ""};
  }
  const std::uint32_t length = options.window > 0 ? options.window : std::min(context, usual);
  if (options.stride > length) {
    return Error{ErrorCode::invalid_stride,
                 "--stride " + std::to_string(options.stride) + " is beyond the window's " + std::to_string(length),
                 ""};
  }
  return eval::WindowSizes{length, options.stride > 0 ? options.stride : std::max(length / 2, 1U)};
}

std::vector<Work> make_works(std::vector<eval::Document> documents, eval::WindowSizes sizes, std::uint32_t limit) {
  std::vector<Work> works;
  std::size_t left = limit > 0 ? limit : SIZE_MAX;
  for (eval::Document& document : documents) {
    if (left == 0) break;
    auto windows = eval::windows(document, sizes, left);
    left -= windows.size();
    works.push_back({std::move(document), std::move(windows)});
  }
  return works;
}

std::uint64_t rows_of(const std::vector<Work>& works) {
  std::uint64_t rows = 0;
  for (const Work& work : works) {
    for (const eval::Window& window : work.windows) rows += window.end - window.begin;
  }
  return rows;
}

std::size_t room_for(const std::vector<Work>& works, std::uint32_t window) {
  std::size_t longest = 0;
  for (const Work& work : works) longest = std::max(longest, work.document.tokens.size());
  return std::min<std::size_t>(window, longest + 1);
}

}  // namespace headwater::tools
