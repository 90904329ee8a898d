#include "topology/values.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

#include "headwater/duration.h"

namespace headwater::topology {
namespace {

constexpr std::uint64_t kLeastCacheBytes = 1 << 20;

struct Unit {
  std::string_view name;
  double factor;
};
constexpr std::array kSizeUnits{Unit{"B", 1},           Unit{"KB", 1e3},           Unit{"MB", 1e6},
                                Unit{"GB", 1e9},        Unit{"TB", 1e12},          Unit{"KiB", 1024.0},
                                Unit{"MiB", 1048576.0}, Unit{"GiB", 1073741824.0}, Unit{"TiB", 1099511627776.0}};

template <class T>
std::optional<T> parse_whole(std::string_view text) {
  T value{};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_number(std::string_view text) {
  const auto value = parse_whole<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

/// "1.5GiB" → 1.5 × 2^30. None: no number, or an unknown unit.
std::optional<double> parse_with_unit(std::string_view text) {
  const std::size_t split = std::min(text.find_first_not_of("0123456789."), text.size());
  std::string_view unit = text.substr(split);
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  const auto number = parse_number(text.substr(0, split));
  const auto found =
      std::find_if(kSizeUnits.begin(), kSizeUnits.end(), [&](const Unit& known) { return known.name == unit; });
  if (!number || found == kSizeUnits.end()) return std::nullopt;
  return *number * found->factor;
}

/// What a value should have been, for "… is 3; expected …".
struct Expected {
  std::string what;
};
using Read = std::variant<ArgValue, Expected>;

std::string range_text(const ArgSpec& spec, const std::string& what) {
  return what + " from " + number_text(spec.min) + " to " + number_text(spec.max);
}

Read read_integer(const Node& node, const ArgSpec& spec) {
  const auto value = parse_whole<std::int64_t>(node.text);
  const bool fits = value && static_cast<double>(*value) >= spec.min && static_cast<double>(*value) <= spec.max;
  if (node.quoted || !fits) return Expected{range_text(spec, "a whole number")};
  return ArgValue(*value);
}

Read read_number(const Node& node, const ArgSpec& spec) {
  const auto value = parse_number(node.text);
  if (node.quoted || !value || *value < spec.min || *value > spec.max) return Expected{range_text(spec, "a number")};
  return ArgValue(*value);
}

Read read_boolean(const Node& node) {
  if (!node.quoted && node.text == "true") return ArgValue(true);
  if (!node.quoted && node.text == "false") return ArgValue(false);
  return Expected{"true or false"};
}

Read read_choice(const Node& node, const ArgSpec& spec) {
  if (std::find(spec.choices.begin(), spec.choices.end(), node.text) != spec.choices.end()) return ArgValue(node.text);
  const std::string near = nearest(node.text, spec.choices);
  return Expected{(spec.choices.size() == 1 ? "" : "one of ") + join(spec.choices) +
                  (near.empty() ? "" : "; did you mean " + quote(near) + "?")};
}

Read read_duration(const Node& node, const ArgSpec& spec) {
  const auto ms = node.text == "0" ? std::optional(0.0) : parse_duration_ms(node.text);
  if (ms && *ms >= spec.min && *ms <= spec.max) return ArgValue(static_cast<std::int64_t>(std::llround(*ms)));
  return Expected{"a time with its unit (ms, s, m or h) such as 300s, from " + duration_text(spec.min) + " to " +
                  duration_text(spec.max)};
}

Read read_size(const Node& node, const ArgSpec& spec) {
  const auto bytes = parse_size(node.text);
  if (bytes && static_cast<double>(*bytes) >= spec.min && static_cast<double>(*bytes) <= spec.max) {
    return ArgValue(static_cast<std::int64_t>(*bytes));
  }
  return Expected{"a size such as 4MiB or 4096 (bytes), from " + size_text(static_cast<std::uint64_t>(spec.min)) +
                  " to " + size_text(static_cast<std::uint64_t>(spec.max))};
}

Read read_size_or_share(const Node& node) {
  if (const auto share = parse_number(node.text)) {
    if (*share > 0 && *share <= 1) return ArgValue(SizeOrShare{.bytes = 0, .share = *share});
    if (*share > 1)
      return Expected{"a size with its unit such as 2GiB, or a share of memory such as 0.6; this number has no unit"};
  } else if (const auto bytes = parse_size(node.text); bytes && *bytes >= kLeastCacheBytes) {
    return ArgValue(SizeOrShare{.bytes = *bytes, .share = 0});
  }
  return Expected{"a size of at least 1MiB such as 2GiB, or a share of memory above 0 and up to 1 such as 0.6"};
}

Read read_scalar(const Node& node, const ArgSpec& spec) {
  switch (spec.type) {
    case ArgType::integer:
      return read_integer(node, spec);
    case ArgType::number:
      return read_number(node, spec);
    case ArgType::boolean:
      return read_boolean(node);
    case ArgType::choice:
      return read_choice(node, spec);
    case ArgType::duration:
      return read_duration(node, spec);
    case ArgType::size:
      return read_size(node, spec);
    case ArgType::size_or_share:
      return read_size_or_share(node);
    case ArgType::text:
      break;
  }
  if (node.text.empty()) return Expected{"text"};
  return ArgValue(node.text);
}

/// What a value of this type is called where a list or a map stands in its place.
std::string expectation(const ArgSpec& spec) {
  Node probe;
  probe.kind = Node::Kind::scalar;
  const Read read = read_scalar(probe, spec);
  return std::get<Expected>(read).what;
}

}  // namespace

std::optional<ArgValue> read_value(const Node& node, const ArgSpec& spec, Problems& problems) {
  if (node.kind == Node::Kind::broken) return std::nullopt;
  Read read = node.kind == Node::Kind::scalar ? read_scalar(node, spec) : Read(Expected{expectation(spec)});
  if (auto* value = std::get_if<ArgValue>(&read)) return std::move(*value);
  problems.at(node, spec.name + " is " + describe(node) + "; expected " + std::get<Expected>(read).what);
  return std::nullopt;
}

Result<std::uint64_t> parse_size(std::string_view text) {
  constexpr double kMost = 9e18;
  const auto whole = parse_whole<std::uint64_t>(text);
  const auto bytes = whole ? std::optional(static_cast<double>(*whole)) : parse_with_unit(text);
  if (!bytes || *bytes > kMost)
    return Error{ErrorCode::invalid_size, quote(text) + " is no size such as 512MiB or 1.5GiB", ""};
  return whole.value_or(static_cast<std::uint64_t>(*bytes));
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<std::pair<const char*, unsigned>, 3> kUnits{{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}}};
  for (const auto& [name, shift] : kUnits) {
    if (bytes != 0 && bytes % (std::uint64_t{1} << shift) == 0) return std::to_string(bytes >> shift) + name;
  }
  return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes");
}

std::string number_text(double value) {
  std::array<char, 64> buffer{};
  const auto [end, failed] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::general);
  if (value == std::floor(value) && std::abs(value) < 1e15) return std::to_string(static_cast<std::int64_t>(value));
  return {buffer.data(), failed == std::errc() ? end : buffer.data()};
}

std::string duration_text(double ms) {
  constexpr std::array<std::pair<const char*, double>, 3> kUnits{{{"h", 3.6e6}, {"m", 6e4}, {"s", 1e3}}};
  for (const auto& [name, factor] : kUnits) {
    if (ms > 0 && std::fmod(ms, factor) == 0) return number_text(ms / factor) + name;
  }
  return ms == 0 ? "0" : number_text(ms) + "ms";
}

Result<std::pair<std::string, std::uint16_t>> parse_listen(std::string_view text) {
  const Error wrong{ErrorCode::invalid_listen,
                    quote(text) +
                        " is no address to listen on; write host:port such as 127.0.0.1:8080, "
                        "\"[::1]:8080\", or 0.0.0.0:8080 for every network",
                    "listen"};
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong;
  std::string_view host = text.substr(0, colon);
  const auto port = parse_whole<std::uint32_t>(text.substr(colon + 1));
  if (!port) return wrong;
  if (*port > std::numeric_limits<std::uint16_t>::max()) {
    return Error{ErrorCode::invalid_listen, "port " + std::to_string(*port) + " is above 65535", "listen"};
  }
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto allowed = [bracketed](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' ||
           (bracketed && (c == ':' || c == '%'));
  };
  if (host.empty() || host.size() > 253 || !std::all_of(host.begin(), host.end(), allowed)) return wrong;
  return std::pair(std::string(host), static_cast<std::uint16_t>(*port));
}

Section::Section(const Node* node, std::string name, const std::vector<std::string>& known, Problems& problems)
    : node_(node), name_(std::move(name)), problems_(problems) {
  if (node_ == nullptr) return;
  if (!node_->is_map()) {
    if (node_->kind != Node::Kind::broken) {
      problems_.at(*node_, name_ + " is " + describe(*node_) + "; expected a map with " + join(known));
    }
    node_ = nullptr;
    return;
  }
  for (const Node& item : node_->items) {
    if (std::find(known.begin(), known.end(), item.key) == known.end()) {
      problems_.at(item.key_where, "unknown key " + quote(item.key) + " in " + name_ + suggest(item.key, known));
    }
  }
}

ArgValue Section::read(const ArgSpec& spec) const {
  const Node* node = find(spec.name);
  if (node == nullptr) return spec.fallback;
  return read_value(*node, spec, problems_).value_or(spec.fallback);
}

std::string Section::text(const std::string& key) const {
  return std::get<std::string>(read({.name = key, .type = ArgType::text, .fallback = std::string()}));
}

bool Section::boolean(const std::string& key, bool fallback) const {
  return std::get<bool>(read({.name = key, .type = ArgType::boolean, .fallback = fallback}));
}

std::vector<Node> Section::names(std::string_view key, const std::string& entry, const std::string& example) const {
  const Node* list = find(key);
  if (list == nullptr || list->kind == Node::Kind::broken) return {};
  if (list->kind != Node::Kind::sequence) {
    problems_.at(*list, std::string(key) + " is " + describe(*list) + "; expected a list of " + entry + "s such as [" +
                            (valid_id(list->text) ? list->text : example) + "]");
    return {};
  }
  std::vector<Node> names;
  for (const Node& item : list->items) {
    if (item.kind == Node::Kind::scalar) {
      names.push_back(item);
    } else if (item.kind != Node::Kind::broken) {
      problems_.at(item, "this entry of " + std::string(key) + " is " + describe(item) + "; expected a " + entry);
    }
  }
  return names;
}

bool valid_id(std::string_view id) {
  const auto letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  const auto follows = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  return !id.empty() && id.size() <= 64 && letter(id.front()) && std::all_of(id.begin(), id.end(), follows);
}

}  // namespace headwater::topology
