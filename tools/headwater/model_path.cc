#include "tools/headwater/model_path.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "kernels/compute_cpus.h"
#include "tools/headwater/command.h"
#include "topology/document.h"

namespace headwater::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxCatalogBytes = 1 << 20;
constexpr std::size_t kMostEntries = 10'000;
constexpr std::size_t kMostNamed = 5;

/// GGUF files in a folder, by name.
std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code failed;
  std::size_t seen = 0;
  for (auto at = fs::directory_iterator(folder, failed); !failed && at != fs::directory_iterator();
       at.increment(failed)) {
    if (++seen > kMostEntries) break;
    if (at->path().extension() == ".gguf") names.push_back(at->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

/// The names that `model pull` knows; none where the catalogue cannot be read.
std::vector<std::string> catalog_names() {
  const auto folder = models_folder();
  const auto text = folder ? read_file(*folder + "/catalog.json", kMaxCatalogBytes) : Result<std::string>("");
  const auto catalog = nlohmann::json::parse(text ? *text : "", nullptr, false);
  std::vector<std::string> names;
  if (!catalog.is_object()) return names;
  for (const auto& [name, entry] : catalog.items()) names.push_back(name);
  return names;
}

std::string in_folder(const std::string& path) {
  const std::vector<std::string> names = files_in(path);
  if (names.empty()) return "; there is no GGUF file in it";
  const std::vector<std::string> first(names.begin(), names.begin() + std::min(names.size(), kMostNamed));
  return "; name a file in it: " + topology::join(first) + (names.size() > kMostNamed ? " …" : "");
}

/// What there is, or what could be fetched, in place of a file that is not there.
std::string way_out(const std::string& name) {
  const fs::path path = name;
  const bool bare = !path.has_parent_path();
  const fs::path folder = bare ? fs::path("models") : path.parent_path();
  const std::string stem = path.extension() == ".gguf" ? path.stem().string() : path.filename().string();

  const std::vector<std::string> known = catalog_names();
  if (std::ranges::find(known, stem) != known.end()) return "; headwater model pull " + stem + " fetches it";
  constexpr const char* kFetch =
      "; headwater model list says what can be fetched, headwater model pull NAME fetches it";
  for (const fs::path& place : bare ? std::vector<fs::path>{folder, "."} : std::vector<fs::path>{folder}) {
    std::vector<std::string> stems;
    for (const std::string& file : files_in(place)) stems.push_back(fs::path(file).stem().string());
    const std::string near = topology::nearest(stem, stems);
    if (near.empty()) continue;
    const std::string found = place == "." ? near + ".gguf" : (place / (near + ".gguf")).string();
    return " (did you mean " + topology::quote(found) + "?)" + kFetch;
  }
  const std::string near = topology::nearest(stem, known);
  return (near.empty() ? "" : " (did you mean the model " + topology::quote(near) + "?)") + std::string(kFetch);
}

}  // namespace

std::optional<std::string> models_folder() {
  std::error_code failed;
  const fs::path folder = fs::read_symlink("/proc/self/exe", failed).parent_path();
  for (const char* place : {"../share/headwater/models", "../../tools/models"}) {  // installed, built
    const fs::path path = (folder / place).lexically_normal();
    if (fs::is_regular_file(path / "pull.py", failed)) return path.string();
  }
  return std::nullopt;
}

Result<void> check_model_path(const std::string& path) {
  std::error_code failed;
  const fs::file_status status = fs::status(path, failed);
  if (status.type() == fs::file_type::not_found) {
    return Error{ErrorCode::invalid_model, path + ": cannot be opened: No such file or directory" + way_out(path),
                 "model"};
  }
  if (fs::is_directory(status)) {
    return Error{ErrorCode::invalid_model, path + ": is a folder, expected a GGUF file" + in_folder(path), "model"};
  }
  return {};
}

Result<std::shared_ptr<const model::GgufFile>> open_model(const std::string& path) {
  if (auto there = check_model_path(path); !there) return there.error();
  return model::GgufFile::open(path);
}

void tell(bool warning, const std::string& sentence) {
  std::fflush(stdout);
  std::fprintf(stderr, "headwater: %s%s\n", warning ? "warning: " : "", sentence.c_str());
}

void warn_of_threads(std::uint32_t asked) {
  const std::string warning = kernels::own_compute_cpus().warning(asked);
  if (!warning.empty()) tell(true, warning);
}

}  // namespace headwater::tools
