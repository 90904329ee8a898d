#pragma once
// YAML text as a small tree that knows where everything stands. Files are hostile: size, depth and number of nodes
// are capped, anchors and aliases are refused, and text never reaches the terminal unescaped.

#include <string>
#include <string_view>
#include <vector>

#include "topology/topology.h"

namespace headwater::topology {

inline constexpr std::size_t kMaxFileBytes = 1 << 20;
inline constexpr std::size_t kMaxDepth = 16;
inline constexpr std::size_t kMaxNodes = 10000;

/// A value in the file, or one that the command line put in its place.
struct Node {
  enum class Kind : std::uint8_t { null, scalar, sequence, map, broken /* reported already */ };

  Kind kind = Kind::null;
  std::string text{};         ///< scalar
  bool quoted = false;        ///< scalar
  std::vector<Node> items{};  ///< sequence: in order; map: values, each with its key
  std::string key{};          ///< in a map
  Location key_where{};       ///< in a map
  Location where{};
  std::string flag{};  ///< "--listen" where the value comes from the command line

  bool is_map() const { return kind == Kind::map; }
  const Node* find(std::string_view name) const;
  Node* find(std::string_view name);
};

/// The mistakes found so far.
class Problems {
 public:
  void at(Location where, std::string message) { list_.push_back({where, std::move(message)}); }
  /// At the node's place in the file, or under the flag that it comes from.
  void at(const Node& node, const std::string& message);
  /// In file order, those of the command line first.
  std::vector<Problem> sorted() &&;

 private:
  std::vector<Problem> list_;
};

/// Reads the one document in `yaml`. Broken parts are reported and left out.
Node read_document(std::string_view yaml, Problems& problems);

/// Text for a message: in quotes, control characters escaped, cut where it is long.
std::string quote(std::string_view text);

/// What stands there, for "… is a list": "a list", "a map", "empty", or the quoted scalar.
std::string describe(const Node& node);

/// " (did you mean "scheduler"? known: a, b, c)", or without the question where nothing is near.
std::string suggest(std::string_view given, const std::vector<std::string>& known);
/// The known name that `given` is probably a slip of; empty: none.
std::string nearest(std::string_view given, const std::vector<std::string>& known);

std::string join(const std::vector<std::string>& words, std::string_view between = ", ");

}  // namespace headwater::topology
