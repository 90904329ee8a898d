#pragma once
// Keys as the command takes them: from files, and out of what others can see of the command line.

#include <string>
#include <vector>

#include "headwater/result.h"

namespace headwater::tools {

/// The keys in a file: one a line, without spaces around it; empty lines and those that begin with # are none. Warns
/// where others than its owner may read it. Error: a sentence with the file's name; a file without a key is one.
Result<std::vector<std::string>> read_keys(const std::string& path);

/// Overwrites the values of --api-key and --admin-key in the memory that the process list shows. To be called once they
/// have been read.
void hide_keys(int argc, char** argv);

}  // namespace headwater::tools
