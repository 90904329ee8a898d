#pragma once
// A Jinja template as models carry it, with which `transformers` turns conversations into prompts: Jinja2 with
// trim_blocks, lstrip_blocks, break and continue, tojson without HTML's escapes, raise_exception, strftime_now and
// {% generation %}. What cannot be there: include, import, extends, block, recursive loops, *arguments.
//
// Values cannot be changed, but for namespaces: append(), pop() and the like fail, as they do in Jinja's sandbox.
// Threading: immutable after parse(); any number of threads may render.

#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "headwater/result.h"
#include "model/jinja/budget.h"
#include "model/jinja/text.h"
#include "model/jinja/value.h"

namespace headwater::model::jinja {

/// The names that a template may use; of several with one name, the last counts. Their values count against no budget.
using Variables = std::vector<std::pair<std::string, Value>>;

class Template {
 public:
  /// Error "invalid_model": "line 3: expected …, found …".
  static Result<std::shared_ptr<const Template>> parse(std::string_view source);
  ~Template();
  Template(const Template&) = delete;
  Template& operator=(const Template&) = delete;

  /// What it writes. `now`: for strftime_now, as local time. Errors "invalid_request": the template's own words where
  /// it raises; what Python would say, with the line; a limit.
  Result<Text> render(const Variables& variables, std::time_t now, const Limits& limits = {}) const;

  /// Whether a tag has this name or string in it.
  bool mentions(std::string_view word) const;

 private:
  struct Parts;
  explicit Template(std::unique_ptr<Parts> parts);
  std::unique_ptr<const Parts> parts_;
};

}  // namespace headwater::model::jinja
