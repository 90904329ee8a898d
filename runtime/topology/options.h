#pragma once
// Every key of a topology file, with its default, range and consequence, for documents. What the parser takes is held
// against this list by a test.

#include <string>
#include <vector>

#include "topology/topology.h"

namespace headwater::topology {

/// A key as a document shows it; each text is ready to print.
struct OptionText {
  std::string name;
  std::string type;      ///< "size", "time", "whole number", …
  std::string fallback;  ///< as a file would write it; "–": none
  std::string range;     ///< "1 … 4096", "lru, fifo"; empty: any
  std::string help;
};

struct OptionSection {
  std::string name;  ///< "cache"; "": the top of the file
  std::string help;
  std::vector<OptionText> options;
};

/// The sections of a topology file.
std::vector<OptionSection> topology_sections();

/// The args of each kind of stage that has some; name: "scheduler", or "cache_tier (impl: rocksdb)".
std::vector<OptionSection> stage_sections(const StageCatalog& catalog);

}  // namespace headwater::topology
