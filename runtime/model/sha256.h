#pragma once
// SHA-256 of bytes that come piece by piece.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

namespace headwater::model {

using Sha256Digest = std::array<std::uint8_t, 32>;

class Sha256 {
 public:
  Sha256();  ///< throws std::bad_alloc
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  Sha256& add(std::span<const std::byte> bytes);
  template <class T>
  requires std::is_arithmetic_v<T> Sha256& add(T number) { return add(std::as_bytes(std::span(&number, 1))); }
  /// How many, then the numbers.
  template <class T>
  requires std::is_arithmetic_v<T> Sha256& add_all(const std::vector<T>& numbers) {
    return add(std::uint64_t{numbers.size()}).add(std::as_bytes(std::span(numbers)));
  }
  /// REQUIRES: called once, last.
  Sha256Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace headwater::model
