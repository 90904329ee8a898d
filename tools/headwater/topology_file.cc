#include "tools/headwater/topology_file.h"

#include <algorithm>
#include <filesystem>

#include "tools/headwater/command.h"

namespace headwater::tools {

namespace fs = std::filesystem;

std::vector<std::string> topology_folders() {
  std::vector<std::string> folders = {"topologies"};
  std::error_code failed;
  const fs::path command = fs::read_symlink("/proc/self/exe", failed);
  if (failed) return folders;
  const fs::path folder = command.parent_path();
  folders.push_back((folder / "../share/headwater/topologies").lexically_normal().string());  // installed
  folders.push_back((folder / "../../topologies").lexically_normal().string());               // in build/NAME
  return folders;
}

Result<std::string> find_topology(const std::string& name) {
  std::error_code failed;
  if (fs::exists(name, failed)) return name;
  std::string looked;
  for (const std::string& folder : topology_folders()) {
    // "topologies/single.yaml" is meant, too, where the command was started elsewhere.
    const fs::path base = fs::path(folder) / fs::path(name).filename();
    const bool ours = fs::path(name).parent_path().empty() || fs::path(name).parent_path() == "topologies";
    if (!ours) break;
    for (const fs::path& path : {base, fs::path(base.string() + ".yaml")}) {
      if (fs::is_regular_file(path, failed)) return path.string();
    }
    looked += (looked.empty() ? "" : ", ") + folder;
  }
  return Error{ErrorCode::open_failed,
               "cannot open " + name + ": there is no such file" +
                   (looked.empty() ? "" : ", nor a topology of that name in " + looked),
               ""};
}

int refuse(const topology::ParseOutcome& outcome, const std::string& path, const std::string& heading) {
  fail(heading + outcome.report(path));
  const bool of_flags =
      std::ranges::all_of(outcome.problems, [](const auto& problem) { return problem.where.line == 0; });
  return of_flags ? kWrongUsage : kFailed;
}

}  // namespace headwater::tools
