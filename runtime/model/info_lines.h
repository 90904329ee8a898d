#pragma once
// Lines of `headwater model info`. Private to what describes models.

#include <cstdint>
#include <string>
#include <utility>

namespace headwater::model {

/// Collects lines whose values stand under each other.
class InfoLines {
 public:
  void add(const std::string& label, const std::string& value) {
    constexpr std::size_t kColumn = 16;
    text_ += label + std::string(label.size() < kColumn ? kColumn - label.size() : 1, ' ') + value + "\n";
  }
  std::string text() && { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace headwater::model
