#include "model/jinja/print.h"

#include <charconv>
#include <cmath>

#include "model/jinja/characters.h"

namespace headwater::model::jinja {
namespace {

using Kind = Value::Kind;

std::string hex(std::uint32_t code, int digits) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text(static_cast<std::size_t>(digits), '0');
  for (auto digit = text.rbegin(); digit != text.rend(); ++digit, code >>= 4U) *digit = kDigits[code & 15U];
  return text;
}

/// How repr() writes a character that cannot stand for itself.
std::string escaped(std::uint32_t code) {
  if (code == '\n') return "\\n";
  if (code == '\r') return "\\r";
  if (code == '\t') return "\\t";
  if (code < 0x100) return "\\x" + hex(code, 2);
  return code < 0x10000 ? "\\u" + hex(code, 4) : "\\U" + hex(code, 8);
}

class Shower {
 public:
  explicit Shower(Budget& budget) : budget_(budget) {}

  void show(const Value& value) {
    const Budget::Level level(budget_);
    budget_.step();
    budget_.check(out_.size());
    switch (value.kind()) {
      case Kind::string:
        budget_.copy(value.text().size());
        return out_.append(quoted(value.text()));
      case Kind::list:
        return show_list(value);
      case Kind::dict:
        return show_dict(value.dict().entries(), value.origin());
      case Kind::object:
        if (const auto* space = dynamic_cast<const Namespace*>(value.object())) return show_namespace(*space);
        [[fallthrough]];
      default:
        out_.append(scalar(value), value.origin());
    }
  }

  Text take() { return std::move(out_); }

 private:
  static std::string scalar(const Value& value) {
    switch (value.kind()) {
      case Kind::undefined:
        return "Undefined";
      case Kind::none:
        return "None";
      case Kind::boolean:
        return value.whole() != 0 ? "True" : "False";
      case Kind::integer:
        return std::to_string(value.whole());
      case Kind::real:
        return real_text(value.number());
      default:
        return "<" + std::string(type_name(value)) + ">";
    }
  }

  void show_list(const Value& value) {
    const List& list = value.list();
    const Origin origin = value.origin();
    if (list.form == List::Form::generator) return out_.append("<generator object>", origin);
    const bool tuple = list.form == List::Form::tuple;
    if (list.form == List::Form::view) out_.append("dict_items(", origin);
    out_.append(tuple ? "(" : "[", origin);
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) out_.append(", ", origin);
      show(list.items[i]);
    }
    if (tuple && list.items.size() == 1) out_.append(",", origin);
    out_.append(tuple ? ")" : "]", origin);
    if (list.form == List::Form::view) out_.append(")", origin);
  }

  void show_dict(const std::vector<Dict::Entry>& entries, Origin origin) {
    out_.append("{", origin);
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out_.append(", ", origin);
      show(entries[i].first);
      out_.append(": ", origin);
      show(entries[i].second);
    }
    out_.append("}", origin);
  }

  void show_namespace(const Namespace& space) {
    std::vector<Dict::Entry> entries;
    for (const auto& [name, value] : space.attributes) {
      entries.emplace_back(Value::string(Text(name, Origin::written), &budget_), value);
    }
    out_.append("<Namespace ", Origin::written);
    show_dict(entries, Origin::written);
    out_.append(">", Origin::written);
  }

  Budget& budget_;
  Text out_;
};

}  // namespace

std::string real_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char buffer[64];
  const auto shortest = std::to_chars(buffer, buffer + sizeof(buffer), number, std::chars_format::scientific);
  std::string science(buffer, shortest.ptr);
  const int exponent = std::stoi(science.substr(science.find('e') + 1));
  if (exponent < -4 || exponent >= 16) return science;
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), number, std::chars_format::fixed).ptr;
  std::string text(buffer, end);
  if (text.find('.') == std::string::npos) text += ".0";
  return text;
}

Text quoted(const Text& text) {
  const std::string& bytes = text.bytes();
  const char quote = bytes.find('\'') != std::string::npos && bytes.find('"') == std::string::npos ? '"' : '\'';
  Text out;
  const Origin origin = text.origin();
  out.append({&quote, 1}, origin);
  text.each_stretch(0, text.size(), [&](std::string_view part, Origin from) {
    std::string escape;
    while (!part.empty()) {
      const Character c = first_character(part);
      if (c.code == static_cast<unsigned char>(quote) || c.code == '\\') {
        escape += '\\';
        escape += static_cast<char>(c.code);
      } else if (is_printable(c.code)) {
        escape += part.substr(0, c.length);
      } else {
        escape += escaped(c.code);
      }
      part.remove_prefix(c.length);
    }
    out.append(escape, from);
  });
  out.append({&quote, 1}, origin);
  return out;
}

Text shown(const Value& value, Budget& budget) {
  Shower shower(budget);
  shower.show(value);
  return shower.take();
}

Text printed(const Value& value, Budget& budget) {
  if (value.is(Kind::undefined)) return {};
  if (value.is(Kind::string)) {
    budget.copy(value.text().size());
    return value.text();
  }
  return shown(value, budget);
}

}  // namespace headwater::model::jinja
