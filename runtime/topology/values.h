#pragma once
// Scalars with types, units and ranges.

#include <optional>

#include "topology/document.h"
#include "topology/topology.h"

namespace headwater::topology {

/// The node's value as `spec` wants it; otherwise reports what is wrong and gives none.
std::optional<ArgValue> read_value(const Node& node, const ArgSpec& spec, Problems& problems);

/// "127.0.0.1:8080", "[::1]:8080", "localhost:0". Error: a sentence without the place.
Result<std::pair<std::string, std::uint16_t>> parse_listen(std::string_view text);

/// "2GiB", "512MB", "4096" (bytes). Error: a sentence without the place.
Result<std::uint64_t> parse_size(std::string_view text);

/// "1048576" as "1MiB", where it is round.
std::string size_text(std::uint64_t bytes);

/// Milliseconds as a topology writes them, with the largest unit in which they are round: "720h", "300s".
std::string duration_text(double ms);

/// "0.8", "48"; whole numbers without a point.
std::string number_text(double value);

/// A map of known keys, whose values it reads one by one.
class Section {
 public:
  /// `node` may be null: every key is missing then. Reports what is not a map, and unknown keys.
  Section(const Node* node, std::string name, const std::vector<std::string>& known, Problems& problems);

  /// The value, or null where it is missing.
  const Node* find(std::string_view key) const { return node_ == nullptr ? nullptr : node_->find(key); }
  /// The value by its spec; the spec's fallback where it is missing or wrong.
  ArgValue read(const ArgSpec& spec) const;
  std::int64_t integer(const ArgSpec& spec) const { return std::get<std::int64_t>(read(spec)); }
  std::string text(const std::string& key) const;
  bool boolean(const std::string& key, bool fallback) const;
  /// A list of names with their places, e.g. `to: [a, b]`. `entry` and `example` say in mistakes what belongs there.
  std::vector<Node> names(std::string_view key, const std::string& entry = "stage id",
                          const std::string& example = "sched") const;

  const std::string& name() const { return name_; }

 private:
  const Node* node_;
  std::string name_;
  Problems& problems_;
};

/// A stage id: a letter, then up to 63 letters, digits, "_" or "-".
bool valid_id(std::string_view id);

}  // namespace headwater::topology
