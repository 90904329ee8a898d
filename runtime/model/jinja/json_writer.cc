// Values as JSON, byte for byte as Python's json.dumps() writes them.

#include <algorithm>
#include <cmath>

#include "model/jinja/characters.h"
#include "model/jinja/print.h"

namespace headwater::model::jinja {
namespace {

using Kind = Value::Kind;

std::string unicode_escape(std::uint32_t unit) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) text += kDigits[unit >> static_cast<unsigned>(shift) & 15U];
  return text;
}

std::string escaped(Character c, std::string_view bytes, bool ascii) {
  switch (c.code) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    default:
      break;
  }
  if (c.code < 0x20 || (ascii && c.code > 0x7E && c.code < 0x10000)) return unicode_escape(c.code);
  if (!ascii || c.code < 0x7F) return std::string(bytes);
  const std::uint32_t rest = c.code - 0x10000;
  return unicode_escape(0xD800U + (rest >> 10U)) + unicode_escape(0xDC00U + (rest & 0x3FFU));
}

class Writer {
 public:
  Writer(const JsonForm& form, Budget& budget) : form_(form), budget_(budget) {}

  void write(const Value& value) {
    const Budget::Level level(budget_);
    budget_.step();
    budget_.check(out_.size());
    switch (value.kind()) {
      case Kind::none:
        return out_.append("null", value.origin());
      case Kind::boolean:
        return out_.append(value.whole() != 0 ? "true" : "false", value.origin());
      case Kind::integer:
        return out_.append(std::to_string(value.whole()), value.origin());
      case Kind::real:
        return out_.append(number(value.number()), value.origin());
      case Kind::string:
        return write(value.text());
      case Kind::list:
        if (value.list().form == List::Form::list || value.list().form == List::Form::tuple) return write_list(value);
        break;
      case Kind::dict:
        return write_dict(value);
      default:
        break;
    }
    fail("Object of type " + std::string(type_name(value)) + " is not JSON serializable");
  }

  Text take() { return std::move(out_); }

 private:
  static std::string number(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
    return real_text(number);
  }

  void write(const Text& text) {
    budget_.copy(text.size());
    const Origin origin = text.origin();
    out_.append("\"", origin);
    text.each_stretch(0, text.size(), [&](std::string_view part, Origin from) {
      std::string escape;
      while (!part.empty()) {
        const Character c = first_character(part);
        escape += escaped(c, part.substr(0, c.length), form_.ascii);
        part.remove_prefix(c.length);
      }
      out_.append(escape, from);
    });
    out_.append("\"", origin);
  }

  void line(Origin origin) {
    if (!form_.indent) return;
    std::string text = "\n";
    budget_.check(out_.size() + level_ * form_.indent->size());
    for (std::size_t i = 0; i < level_; ++i) text += *form_.indent;
    budget_.copy(text.size());
    out_.append(text, origin);
  }

  /// What stands in brackets: `each(i)` writes one of `n` things.
  template <class Each>
  void enclose(const char* open, const char* close, std::size_t n, Origin origin, Each each) {
    out_.append(open, origin);
    ++level_;
    for (std::size_t i = 0; i < n; ++i) {
      if (i > 0) out_.append(form_.comma, origin);
      line(origin);
      each(i);
    }
    --level_;
    if (n > 0) line(origin);
    out_.append(close, origin);
  }

  void write_list(const Value& value) {
    const Values& items = value.list().items;
    enclose("[", "]", items.size(), value.origin(), [&](std::size_t i) { write(items[i]); });
  }

  void write_dict(const Value& value) {
    std::vector<const Dict::Entry*> entries;
    for (const Dict::Entry& entry : value.dict().entries()) entries.push_back(&entry);
    if (form_.sorted) {
      const auto key = [](const Dict::Entry* entry) {
        return entry->first.is(Kind::string) ? std::string_view(entry->first.bytes()) : std::string_view();
      };
      std::ranges::stable_sort(entries, [&](const auto* a, const auto* b) { return key(a) < key(b); });
    }
    enclose("{", "}", entries.size(), value.origin(), [&](std::size_t i) {
      write_key(entries[i]->first);
      out_.append(form_.colon, value.origin());
      write(entries[i]->second);
    });
  }

  void write_key(const Value& key) {
    if (key.is(Kind::string)) return write(key.text());
    if (key.is(Kind::list)) {
      fail("keys must be str, int, float, bool or None, not " + std::string(type_name(key)));
    }
    out_.append("\"", key.origin());
    write(key);
    out_.append("\"", key.origin());
  }

  const JsonForm& form_;
  Budget& budget_;
  Text out_;
  std::size_t level_ = 0;
};

}  // namespace

Text to_json(const Value& value, const JsonForm& form, Budget& budget) {
  Writer writer(form, budget);
  writer.write(value);
  return writer.take();
}

}  // namespace headwater::model::jinja
