#include "tools/eval/csv.h"

#include <algorithm>

namespace headwater::eval {
namespace {

class Reader {
 public:
  Reader(std::string_view text, const std::string& name, std::size_t max_fields)
      : text_(text), name_(name), max_fields_(max_fields) {}

  bool at_end() {
    skip_empty_lines();
    return at_ == text_.size();
  }

  /// REQUIRES: !at_end().
  Result<CsvRow> row() {
    CsvRow row{name_ + ":" + std::to_string(line_), {}};
    for (;;) {
      if (row.fields.size() == max_fields_) {
        return wrong(row, "this row has more than " + std::to_string(max_fields_) + " fields");
      }
      std::string& field = row.fields.emplace_back();
      if (peek() != '"') {
        unquoted(field);
      } else if (!quoted(field)) {
        return wrong(row, "a quote is not closed in this row");
      }
      if (peek() != ',') break;
      ++at_;
    }
    if (at_ < text_.size() && peek() != '\r' && peek() != '\n') {
      return wrong(row, "a field of this row goes on after its closing quote");
    }
    return row;
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_empty_lines() {
    while (peek() == '\r' || peek() == '\n') line_ += text_[at_++] == '\n' ? 1 : 0;
  }
  void unquoted(std::string& field) {
    const std::size_t end = std::min(text_.find_first_of(",\r\n", at_), text_.size());
    field = text_.substr(at_, end - at_);
    at_ = end;
  }
  /// Two quotes stand for one.
  bool quoted(std::string& field) {
    do {
      const std::size_t begin = ++at_;
      at_ = text_.find('"', begin);
      if (at_ == std::string_view::npos) return false;
      const std::string_view part = text_.substr(begin, at_++ - begin);
      line_ += static_cast<std::size_t>(std::ranges::count(part, '\n'));
      field += part;
      if (peek() == '"') field += '"';
    } while (peek() == '"');
    return true;
  }
  static Error wrong(const CsvRow& row, const std::string& message) {
    return {ErrorCode::invalid_csv, row.place + ": " + message, ""};
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t max_fields_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
};

}  // namespace

Result<void> read_csv(std::string_view text, const std::string& name, std::size_t max_fields,
                      const std::function<Result<void>(CsvRow)>& take) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // what some programs put in front of UTF-8
  Reader reader(text, name, max_fields);
  while (!reader.at_end()) {
    auto row = reader.row();
    if (!row) return row.error();
    if (auto taken = take(std::move(*row)); !taken) return taken;
  }
  return {};
}

}  // namespace headwater::eval
