#include "model/gguf_value.h"

#include <cstdio>
#include <type_traits>
#include <variant>
#include <vector>

#include "model/utf8.h"

namespace headwater::model {
namespace {

struct InWords {
  std::string operator()(bool flag) const { return flag ? "true" : "false"; }
  std::string operator()(std::uint64_t number) const { return std::to_string(number); }
  std::string operator()(std::int64_t number) const { return std::to_string(number); }
  std::string operator()(double number) const {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", number);
    return text;
  }
  std::string operator()(const std::string& text) const { return "\"" + printable(text) + "\""; }
  std::string operator()(const std::vector<std::string>& all) const { return array(all.size(), "string"); }
  std::string operator()(const std::vector<bool>& all) const { return array(all.size(), "boolean"); }
  std::string operator()(const std::vector<double>& all) const { return array(all.size(), "number"); }
  template <class Integer>
  std::string operator()(const std::vector<Integer>& all) const {
    return array(all.size(), "integer");
  }

 private:
  static std::string array(std::size_t n, const std::string& of) {
    return "an array of " + std::to_string(n) + " " + of + (n == 1 ? "" : "s");
  }
};

}  // namespace

std::string describe_value(const GgufValue& value) { return std::visit(InWords{}, value); }

std::string found_value(const GgufValue* value) {
  return value == nullptr ? "is missing" : "is " + describe_value(*value);
}

}  // namespace headwater::model
