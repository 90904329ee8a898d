#include "kernels/control_groups.h"

#include <fstream>
#include <sstream>

namespace headwater::kernels {
namespace {

/// Whether a list "a,b,c" has that name.
bool lists(const std::string& names, std::string_view name) {
  std::istringstream list(names);
  for (std::string one; std::getline(list, one, ',');) {
    if (one == name) return true;
  }
  return false;
}

/// Groups that were mounted somewhere.
struct Hierarchy {
  bool v2 = false;
  std::string root;         ///< the group that is mounted
  std::string mount_point;  ///< where
};

/// Those with the controller. Source: Linux, Documentation/filesystems/proc.rst, "mountinfo": id parent device root
/// mount_point options … - type source super_options.
std::vector<Hierarchy> hierarchies(const std::string& proc, std::string_view controller) {
  std::vector<Hierarchy> found;
  std::ifstream file(proc + "/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string skipped, type, source, options;
    Hierarchy hierarchy;
    words >> skipped >> skipped >> skipped >> hierarchy.root >> hierarchy.mount_point;
    while (words >> skipped && skipped != "-") {
    }
    words >> type >> source >> options;
    hierarchy.v2 = type == "cgroup2";
    if (hierarchy.v2 || (type == "cgroup" && lists(options, controller))) found.push_back(hierarchy);
  }
  return found;
}

/// This process's group in a hierarchy: a line "0::/path" (v2) or "4:memory:/path" (v1).
std::string own_group(const std::string& proc, std::string_view controller, bool v2) {
  std::ifstream file(proc + "/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (v2 ? controllers.empty() : lists(controllers, controller)) return line.substr(second + 1);
  }
  return "";
}

}  // namespace

std::vector<ControlGroup> control_groups(const std::string& root, std::string_view controller) {
  const std::string proc = root + "/proc";
  std::vector<ControlGroup> groups;
  for (const Hierarchy& hierarchy : hierarchies(proc, controller)) {
    std::string group = own_group(proc, controller, hierarchy.v2);
    // A container may see another name for its group than the one that is mounted.
    if (hierarchy.root != "/" && group.starts_with(hierarchy.root)) group.erase(0, hierarchy.root.size());
    const std::string mount_point = root + hierarchy.mount_point;
    while (!group.empty() && group != "/") {
      groups.push_back({mount_point + group, group, hierarchy.v2});
      group.erase(group.find_last_of('/') == std::string::npos ? 0 : group.find_last_of('/'));
    }
    groups.push_back({mount_point, "/", hierarchy.v2});
  }
  return groups;
}

}  // namespace headwater::kernels
