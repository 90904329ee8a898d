#pragma once
// Finding topology files: a path, or the name of one that ships.

#include <optional>
#include <string>
#include <vector>

#include "headwater/result.h"
#include "topology/topology.h"

namespace headwater::tools {

/// Folders with the topologies that ship: ./topologies, and where they are installed or built beside the command.
std::vector<std::string> topology_folders();

/// The path of a topology: `name` itself where there is such a file, else NAME or NAME.yaml in a folder of
/// topology_folders(). Error: where it was looked for.
Result<std::string> find_topology(const std::string& name);

/// Prints the mistakes under `heading`. Gives the exit status: kWrongUsage where all are of the command line's flags.
int refuse(const topology::ParseOutcome& outcome, const std::string& path, const std::string& heading);

}  // namespace headwater::tools
