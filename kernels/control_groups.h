#pragma once
// The control groups of this process (Linux cgroups, v1 and v2).

#include <string>
#include <string_view>
#include <vector>

namespace headwater::kernels {

struct ControlGroup {
  std::string folder;  ///< where its files lie
  std::string name;    ///< "/a/b"
  bool v2 = false;     ///< its files have the names of version 2
};

/// The groups that may bound this process, the innermost first: each bounds all below it. Of version 1 those of
/// `controller`: "memory", "cpu". root: stands before /proc and /sys; empty but in tests. Files that cannot be read
/// count as if they were not there.
std::vector<ControlGroup> control_groups(const std::string& root, std::string_view controller);

}  // namespace headwater::kernels
