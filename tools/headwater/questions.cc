// Questions in files.

#include "tools/headwater/questions.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "tools/headwater/eval.h"

namespace headwater::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostSubjects = 1000;

/// The folder's files whose names end so, without that, in order.
Result<std::vector<std::string>> list(const fs::path& folder, const std::string& ending) {
  std::vector<std::string> names;
  std::error_code failed;
  for (auto at = fs::directory_iterator(folder, failed); !failed && at != fs::directory_iterator();
       at.increment(failed)) {
    std::string name = at->path().filename().string();
    if (!name.ends_with(ending) || name.size() == ending.size()) continue;
    name.resize(name.size() - ending.size());
    names.push_back(std::move(name));
    if (names.size() > kMostSubjects) {
      return Error{ErrorCode::too_many, folder.string() + ": more than " + std::to_string(kMostSubjects) + " subjects",
                   ""};
    }
  }
  if (failed) return Error{ErrorCode::open_failed, "cannot read " + folder.string() + ": " + failed.message(), ""};
  if (names.empty()) {
    return Error{ErrorCode::no_questions, folder.string() + ": no files that end in " + ending, ""};
  }
  std::ranges::sort(names);
  return names;
}

Result<eval::Subject> read_subject(const std::string& name, const fs::path& shots_path,
                                   const std::optional<fs::path>& questions_path) {
  const auto shots = read_eval_file(shots_path.string());
  if (!shots) return shots.error();
  const eval::CsvText shots_csv{*shots, shots_path.string()};
  if (!questions_path) return eval::read_subject(name, shots_csv, std::nullopt);
  const auto questions = read_eval_file(questions_path->string());
  if (!questions) return questions.error();
  return eval::read_subject(name, shots_csv, eval::CsvText{*questions, questions_path->string()});
}

/// test/S_test.csv with dev/S_dev.csv, or S.csv.
Result<std::vector<eval::Subject>> read_folder(const fs::path& folder) {
  std::error_code ignored;
  const bool split = fs::is_directory(folder / "test", ignored);
  const auto names = split ? list(folder / "test", "_test.csv") : list(folder, ".csv");
  if (!names) return names.error();
  std::vector<eval::Subject> subjects;
  for (const std::string& name : *names) {
    auto subject =
        split ? read_subject(name, folder / "dev" / (name + "_dev.csv"), folder / "test" / (name + "_test.csv"))
              : read_subject(name, folder / (name + ".csv"), std::nullopt);
    if (!subject) return subject.error();
    subjects.push_back(std::move(*subject));
  }
  return subjects;
}

}  // namespace

Result<std::vector<eval::Subject>> read_questions(const std::string& data, const std::string& reference) {
  std::error_code ignored;
  if (fs::is_directory(data, ignored)) {
    auto subjects = read_folder(data);
    if (!subjects || reference.empty()) return subjects;
    const auto choices = read_eval_file(reference);
    if (!choices) return choices.error();
    if (auto added = eval::add_reference(*subjects, *choices, reference); !added) return added.error();
    return subjects;
  }
  const auto text = read_eval_file(data);
  if (!text) return text.error();
  if (!data.ends_with(".jsonl")) {
    return Error{ErrorCode::unknown_format, data + ": expected a folder of CSV files, or a file that ends in .jsonl",
                 ""};
  }
  if (!reference.empty()) {
    return Error{ErrorCode::unknown_format, "a reference goes with a folder; records of " + data + " bring their own",
                 ""};
  }
  return eval::read_prompts(*text, data);
}

}  // namespace headwater::tools
