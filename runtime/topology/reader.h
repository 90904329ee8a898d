#pragma once
// Reads typed values from YAML and collects what is wrong with them. Private to this folder.

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topology/topology.h"

namespace headwater::topology {

/// `"x" (did you mean "y"? known: …)`.
std::string unknown(std::string_view word, const std::vector<std::string>& known);

/// "300s", "5m", "250ms", "1h": milliseconds.
std::optional<std::int64_t> parse_duration(std::string_view text);
/// "2GiB", "512MiB", "1.5GB", or a share such as "0.6".
std::optional<SizeOrShare> parse_size_or_share(std::string_view text);
/// "host:port", "[::1]:port".
std::optional<std::pair<std::string, std::uint16_t>> parse_listen(std::string_view text);

class Reader {
 public:
  static Location where(const YAML::Node& node);
  void report(Location where, std::string message) { problems.push_back({where, std::move(message)}); }

  /// Calls `on_entry(key, key node, value)` for each entry of a map; unknown and doubled keys are reported.
  void read_map(const YAML::Node& map, const std::string& what, const std::vector<std::string>& known,
                const std::function<void(const std::string&, const YAML::Node&)>& on_entry);

  std::optional<std::string> text(const YAML::Node& node, const std::string& what);
  std::optional<std::int64_t> integer(const YAML::Node& node, const std::string& what, double min, double max);
  std::optional<double> number(const YAML::Node& node, const std::string& what, double min, double max);
  std::optional<bool> boolean(const YAML::Node& node, const std::string& what);
  /// A list of texts, or one text alone.
  std::vector<std::string> texts(const YAML::Node& node, const std::string& what);
  std::optional<ArgValue> argument(const YAML::Node& node, const std::string& what, const ArgSpec& spec);

  std::vector<Problem> problems;
};

}  // namespace headwater::topology
