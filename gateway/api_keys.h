#pragma once
// Who may come in, and which tenant of the prefix cache they are.
// Threading: immutable; any number of threads may ask.

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headwater::gateway {

class ApiKeys {
 public:
  /// No keys: everybody may come in.
  explicit ApiKeys(const std::vector<std::string>& keys);

  bool required() const { return !digests_.empty(); }

  /// The tenant of the header `Authorization: Bearer KEY`; empty without authentication. Nothing: not allowed.
  /// The time it takes does not depend on how much of a key is right.
  std::optional<std::string> tenant(std::string_view authorization) const;
  /// Those that may come in; none without authentication.
  std::vector<std::string> tenants() const;

 private:
  using Digest = std::array<unsigned char, 32>;
  static Digest digest(std::string_view key);

  std::vector<Digest> digests_;
};

}  // namespace headwater::gateway
