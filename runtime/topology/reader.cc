#include "topology/reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

namespace headwater::topology {
namespace {

/// Levenshtein's distance.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

template <class T>
std::optional<T> whole_number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

/// A number and what follows it.
std::optional<std::pair<double, std::string_view>> number_and_unit(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || !std::isfinite(value)) return std::nullopt;
  return std::pair{value, text.substr(static_cast<std::size_t>(end - text.data()))};
}

std::string shown(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

std::string range(double min, double max) { return shown(min) + " … " + shown(max); }

}  // namespace

std::string unknown(std::string_view word, const std::vector<std::string>& known) {
  std::string list;
  const std::string* nearest = nullptr;
  std::size_t best = std::max<std::size_t>(2, word.size() / 2) + 1;
  for (const std::string& candidate : known) {
    list += (list.empty() ? "" : ", ") + candidate;
    const std::size_t steps = distance(word, candidate);
    if (steps < best) {
      best = steps;
      nearest = &candidate;
    }
  }
  return "\"" + std::string(word) + "\" (" + (nearest != nullptr ? "did you mean \"" + *nearest + "\"? " : "") +
         "known: " + list + ")";
}

std::optional<std::int64_t> parse_duration(std::string_view text) {
  const auto parsed = number_and_unit(text);
  if (!parsed || parsed->first < 0) return std::nullopt;
  constexpr std::pair<std::string_view, double> kUnits[] = {
      {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  for (const auto& [unit, milliseconds] : kUnits) {
    if (parsed->second == unit && parsed->first * milliseconds < 1e15) {
      return static_cast<std::int64_t>(std::llround(parsed->first * milliseconds));
    }
  }
  return std::nullopt;
}

std::optional<SizeOrShare> parse_size_or_share(std::string_view text) {
  const auto parsed = number_and_unit(text);
  if (!parsed || parsed->first <= 0) return std::nullopt;
  if (parsed->second.empty()) {
    if (parsed->first > 1) return std::nullopt;
    return SizeOrShare{0, parsed->first};
  }
  constexpr std::pair<std::string_view, double> kUnits[] = {
      {"B", 1},    {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0},
      {"kB", 1e3}, {"KB", 1e3},     {"MB", 1e6},        {"GB", 1e9},           {"TB", 1e12}};
  for (const auto& [unit, bytes] : kUnits) {
    if (parsed->second == unit && parsed->first * bytes >= 1 && parsed->first * bytes < 1e16) {
      return SizeOrShare{static_cast<std::uint64_t>(parsed->first * bytes), 0};
    }
  }
  return std::nullopt;
}

std::optional<std::pair<std::string, std::uint16_t>> parse_listen(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  const auto port = whole_number<std::uint16_t>(text.substr(colon + 1));
  std::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::nullopt;  // an IPv6 address needs its brackets
  }
  if (!port || host.empty()) return std::nullopt;
  return std::pair{std::string(host), *port};
}

Location Reader::where(const YAML::Node& node) {
  const YAML::Mark mark = node.Mark();
  return mark.is_null() ? Location{} : Location{mark.line + 1, mark.column + 1};
}

void Reader::read_map(const YAML::Node& map, const std::string& what, const std::vector<std::string>& known,
                      const std::function<void(const std::string&, const YAML::Node&)>& on_entry) {
  if (!map.IsMap()) {
    report(where(map), what + " must be a map of keys and values");
    return;
  }
  std::set<std::string> seen;
  for (const auto& entry : map) {
    if (!entry.first.IsScalar()) {
      report(where(entry.first), "a key of " + what + " must be a plain word");
      continue;
    }
    const std::string key = entry.first.Scalar();
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      report(where(entry.first), "unknown key " + unknown(key, known) + " in " + what);
    } else if (!seen.insert(key).second) {
      report(where(entry.first), "the key \"" + key + "\" is there twice in " + what);
    } else {
      on_entry(key, entry.second);
    }
  }
}

std::optional<std::string> Reader::text(const YAML::Node& node, const std::string& what) {
  if (!node.IsScalar() || node.Scalar().empty()) {
    report(where(node), what + " must be a text");
    return std::nullopt;
  }
  return node.Scalar();
}

std::optional<std::int64_t> Reader::integer(const YAML::Node& node, const std::string& what, double min, double max) {
  const auto value = node.IsScalar() ? whole_number<std::int64_t>(node.Scalar()) : std::nullopt;
  if (!value) {
    report(where(node), what + " must be a whole number, " + range(min, max));
  } else if (static_cast<double>(*value) < min || static_cast<double>(*value) > max) {
    report(where(node), what + " is " + node.Scalar() + "; it must be in " + range(min, max));
  } else {
    return value;
  }
  return std::nullopt;
}

std::optional<double> Reader::number(const YAML::Node& node, const std::string& what, double min, double max) {
  const auto parsed = node.IsScalar() ? number_and_unit(node.Scalar()) : std::nullopt;
  if (!parsed || !parsed->second.empty() || parsed->first < min || parsed->first > max) {
    report(where(node), what + " must be a number in " + range(min, max));
    return std::nullopt;
  }
  return parsed->first;
}

std::optional<bool> Reader::boolean(const YAML::Node& node, const std::string& what) {
  if (node.IsScalar() && (node.Scalar() == "true" || node.Scalar() == "false")) return node.Scalar() == "true";
  report(where(node), what + " must be true or false");
  return std::nullopt;
}

std::vector<std::string> Reader::texts(const YAML::Node& node, const std::string& what) {
  std::vector<std::string> found;
  if (node.IsScalar()) {
    if (auto one = text(node, what)) found.push_back(*one);
    return found;
  }
  if (!node.IsSequence()) {
    report(where(node), what + " must be a list of names");
    return found;
  }
  for (const YAML::Node& item : node) {
    if (auto one = text(item, "an entry of " + what)) found.push_back(*one);
  }
  return found;
}

std::optional<ArgValue> Reader::argument(const YAML::Node& node, const std::string& what, const ArgSpec& spec) {
  const auto as_value = [](const auto& value) { return value ? std::optional<ArgValue>(*value) : std::nullopt; };
  switch (spec.type) {
    case ArgType::integer:
      return as_value(integer(node, what, spec.min, spec.max));
    case ArgType::number:
      return as_value(number(node, what, spec.min, spec.max));
    case ArgType::boolean:
      return as_value(boolean(node, what));
    case ArgType::text:
      return as_value(text(node, what));
    case ArgType::size_or_share: {
      const auto value = node.IsScalar() ? parse_size_or_share(node.Scalar()) : std::nullopt;
      if (!value) report(where(node), what + " must be a size such as 2GiB, or a share of memory such as 0.6");
      return as_value(value);
    }
    case ArgType::duration: {
      const auto value = node.IsScalar() ? parse_duration(node.Scalar()) : std::nullopt;
      const bool inside = value && static_cast<double>(*value) >= spec.min && static_cast<double>(*value) <= spec.max;
      if (!inside) report(where(node), what + " must be a duration such as 300s, 5m or 250ms");
      return inside ? as_value(value) : std::nullopt;
    }
    case ArgType::choice: {
      const auto value = text(node, what);
      if (!value) return std::nullopt;
      if (std::find(spec.choices.begin(), spec.choices.end(), *value) == spec.choices.end()) {
        report(where(node), what + " cannot be " + unknown(*value, spec.choices));
        return std::nullopt;
      }
      return *value;
    }
  }
  return std::nullopt;
}

}  // namespace headwater::topology
