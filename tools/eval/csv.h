#pragma once
// Comma-separated values. Source: RFC 4180.

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "headwater/result.h"

namespace headwater::eval {

struct CsvRow {
  std::string place;  ///< "FILE:LINE" of its beginning
  std::vector<std::string> fields;
};

/// Calls `take` with each row, in order, until one fails. Empty lines are passed over; a quote inside of an unquoted
/// field is a character like any other. `name`: the file's, for messages. Errors: a quote that is not closed, text
/// after a closing quote, more than `max_fields` in a row.
Result<void> read_csv(std::string_view text, const std::string& name, std::size_t max_fields,
                      const std::function<Result<void>(CsvRow)>& take);

}  // namespace headwater::eval
