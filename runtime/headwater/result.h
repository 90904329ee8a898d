#pragma once
// An expected failure is a value: a function that can fail for a reason outside the program returns
// Result<T>. Exceptions and assertions are left for bugs.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "headwater/error_code.h"

namespace headwater {

/// Why something did not work, in words for a person and in a code for a program.
struct Error {
  ErrorCode code = ErrorCode::none;
  std::string message;            ///< a sentence with the place and the way out
  std::string param;              ///< the request field at fault, if one is, e.g. "max_tokens"
  std::uint32_t retry_after = 0;  ///< seconds after which trying again is likely to work; 0: not known
};

/// Either a T or the Error that kept it from being made.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(*-explicit-*)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(*-explicit-*)

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  /// REQUIRES: ok().
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }

  /// REQUIRES: !ok().
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

/// Success, or the Error that prevented it.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(*-explicit-*)

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  /// REQUIRES: !ok().
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace headwater
