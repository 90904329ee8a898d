#include "topology/document.h"

#include <yaml-cpp/yaml.h>

#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <optional>
#include <sstream>

namespace headwater::topology {
namespace {

Location location(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

/// Builds the tree from the parser's events; nothing in yaml-cpp expands an alias on this way.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Problems& problems) : problems_(problems) {}

  Node take() { return std::move(root_); }
  bool has_document() const { return documents_ > 0; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ == 2) {
      problems_.at(location(mark), "a second document begins here; a topology file holds one, so remove the \"---\"");
    }
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add_leaf(make(Node::Kind::null, mark, anchor));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    problems_.at(location(mark), "aliases (*name) are not allowed; write the value out");
    add_leaf(make(Node::Kind::broken, mark, 0));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node = make(Node::Kind::scalar, mark, anchor);
    node.text = value;
    node.quoted = tag == "!";
    check_tag(mark, tag);
    add_leaf(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, make(Node::Kind::sequence, mark, anchor));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, make(Node::Kind::map, mark, anchor));
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Node node;
    bool has_key = false;
    std::string key{};
    Location key_where{};
    bool drop = false;  ///< the key cannot be used: its value is read and forgotten
  };

  Node make(Node::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (++nodes_ > kMaxNodes) {
      throw YAML::ParserException(mark, "the file has more than " + std::to_string(kMaxNodes) + " values");
    }
    if (anchor != 0) problems_.at(location(mark), "anchors (&name) are not allowed; write the value out at each place");
    Node node;
    node.kind = kind;
    node.where = location(mark);
    return node;
  }

  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") {
      problems_.at(location(mark), "the tag " + quote(tag) + " is not allowed; remove it");
    }
  }

  void open(const YAML::Mark& mark, const std::string& tag, Node node) {
    check_tag(mark, tag);
    if (stack_.size() >= kMaxDepth) {
      throw YAML::ParserException(mark,
                                  "lists and maps are nested deeper than " + std::to_string(kMaxDepth) + " levels");
    }
    stack_.push_back({.node = std::move(node)});
  }

  void close() {
    Node node = std::move(stack_.back().node);
    stack_.pop_back();
    add_leaf(std::move(node));
  }

  void add_leaf(Node node) {
    if (stack_.empty()) {
      if (documents_ == 1) root_ = std::move(node);
      return;
    }
    Frame& frame = stack_.back();
    if (frame.node.is_map() && !frame.has_key) {
      take_key(frame, node);
      return;
    }
    node.key = std::move(frame.key);
    node.key_where = frame.key_where;
    if (!frame.drop) frame.node.items.push_back(std::move(node));
    frame.has_key = frame.drop = false;
    frame.key.clear();
  }

  void take_key(Frame& frame, const Node& node) {
    frame.has_key = true;
    frame.key_where = node.where;
    frame.key = node.text;
    if (node.kind != Node::Kind::scalar) {
      frame.drop = true;
      if (node.kind != Node::Kind::broken) {
        problems_.at(node.where, "a key must be a name, and this is " + describe(node));
      }
    } else if (const Node* first = frame.node.find(node.text); first != nullptr) {
      frame.drop = true;
      problems_.at(node.where, "the key " + quote(node.text) + " stands twice, first in line " +
                                   std::to_string(first->key_where.line) + "; remove one");
    }
  }

  Problems& problems_;
  Node root_;
  std::vector<Frame> stack_;
  std::size_t nodes_ = 0;
  int documents_ = 0;
};

/// yaml-cpp guesses encodings and takes control characters for the end of the file: neither may happen silently.
bool check_bytes(std::string_view yaml, Problems& problems) {
  Location where{1, 1};
  for (const char c : yaml) {
    const auto byte = static_cast<unsigned char>(c);
    const bool control = (byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t') || byte == 0x7F;
    if (control || byte >= 0xF8) {
      problems.at(where, "this byte cannot stand in a topology file; save the file as UTF-8 text");
      return false;
    }
    if (byte == '\n') {
      where = {where.line + 1, 1};
    } else if ((byte & 0xC0U) != 0x80U) {
      ++where.column;
    }
  }
  return true;
}

/// Where the first tab stands that indents one of the first `lines` lines: yaml-cpp says something else of it.
std::optional<Location> indenting_tab(std::string_view yaml, int lines) {
  for (int line = 1; line <= lines && !yaml.empty(); ++line) {
    const std::string_view text = yaml.substr(0, yaml.find('\n'));
    const std::size_t tab = text.find('\t');
    if (tab < text.find_first_not_of(" \t")) return Location{line, static_cast<int>(tab) + 1};
    yaml.remove_prefix(std::min(yaml.size(), text.size() + 1));
  }
  return std::nullopt;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t swap_cost = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({swap_cost, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

const Node* Node::find(std::string_view name) const {
  if (kind != Kind::map) return nullptr;
  const auto found = std::find_if(items.begin(), items.end(), [&](const Node& item) { return item.key == name; });
  return found == items.end() ? nullptr : &*found;
}

Node* Node::find(std::string_view name) { return const_cast<Node*>(std::as_const(*this).find(name)); }

void Problems::at(const Node& node, const std::string& message) {
  if (node.flag.empty()) {
    at(node.where, message);
  } else {
    at(Location{}, "command line: " + node.flag + ": " + message);
  }
}

std::vector<Problem> Problems::sorted() && {
  std::stable_sort(list_.begin(), list_.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.where.line, a.where.column) < std::pair(b.where.line, b.where.column);
  });
  return std::move(list_);
}

Node read_document(std::string_view yaml, Problems& problems) {
  if (yaml.size() > kMaxFileBytes) {
    problems.at(Location{1, 1}, "the file has " + std::to_string(yaml.size()) + " bytes; a topology may have " +
                                    std::to_string(kMaxFileBytes));
    return {.kind = Node::Kind::broken};
  }
  if (!check_bytes(yaml, problems)) return {.kind = Node::Kind::broken};
  TreeBuilder builder(problems);
  try {
    std::istringstream stream{std::string(yaml)};
    YAML::Parser parser(stream);
    if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
  } catch (const YAML::Exception& error) {
    const Location where = error.mark.is_null() ? Location{1, 1} : location(error.mark);
    if (const auto tab = indenting_tab(yaml, where.line)) {
      problems.at(*tab, "a tab indents this line; YAML takes spaces alone, so replace it");
    } else {
      problems.at(where, "not valid YAML: " + error.msg);
    }
    return {.kind = Node::Kind::broken};
  }
  Node root = builder.take();
  if (!builder.has_document() || root.kind == Node::Kind::null) {
    problems.at(Location{1, 1}, "the file is empty; a topology has model, stages and, to be served, gateway");
    return {.kind = Node::Kind::broken};
  }
  return root;
}

std::string quote(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::string quoted = "\"";
  for (const char c : text.substr(0, kLongest)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      quoted += "?";
    } else {
      quoted += c;
    }
  }
  return quoted + (text.size() > kLongest ? "…\"" : "\"");
}

std::string describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::sequence:
      return "a list";
    case Node::Kind::map:
      return "a map";
    case Node::Kind::scalar:
      return (node.quoted ? "the text " : "") + quote(node.text);
    default:
      return "empty";
  }
}

std::string nearest(std::string_view given, const std::vector<std::string>& known) {
  if (given.size() > 64) return "";
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, given.size() / 3) + 1;
  for (const std::string& name : known) {
    const bool begins = given.size() >= 3 && name.starts_with(given);
    const std::size_t distance = begins ? 2 : edit_distance(given, name);
    if (distance < best_distance && distance < name.size()) {
      best = name;
      best_distance = distance;
    }
  }
  return best;
}

std::string suggest(std::string_view given, const std::vector<std::string>& known) {
  const std::string near = nearest(given, known);
  return " (" + (near.empty() ? "" : "did you mean " + quote(near) + "? ") + "known: " + join(known) + ")";
}

std::string join(const std::vector<std::string>& words, std::string_view between) {
  std::string joined;
  for (const std::string& word : words) {
    if (!joined.empty()) joined += between;
    joined += word;
  }
  return joined;
}

}  // namespace headwater::topology
