#include "gateway/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cctype>

namespace headwater::gateway {
namespace {

bool starts_with_bearer(std::string_view text) {
  constexpr std::string_view kScheme = "bearer ";
  if (text.size() < kScheme.size()) return false;
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(text[i])) != kScheme[i]) return false;
  }
  return true;
}

std::string hex(const unsigned char* bytes, std::size_t n) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < n; ++i) text += {kDigits[bytes[i] >> 4U], kDigits[bytes[i] & 15U]};
  return text;
}

}  // namespace

ApiKeys::ApiKeys(const std::vector<std::string>& keys) {
  for (const std::string& key : keys) digests_.push_back(digest(key));
}

ApiKeys::Digest ApiKeys::digest(std::string_view key) {
  Digest result;
  const std::string text = "headwater tenant\n" + std::string(key);
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), result.data());
  return result;
}

std::optional<std::string> ApiKeys::tenant(std::string_view authorization) const {
  if (!required()) return "";
  if (!starts_with_bearer(authorization)) return std::nullopt;
  // Between the scheme and the key there may be several spaces. Source: RFC 9110, section 11.4.
  const std::string_view spaced = authorization.substr(authorization.find(' '));
  const Digest given = digest(spaced.substr(std::min(spaced.find_first_not_of(' '), spaced.size())));
  bool known = false;
  for (const Digest& digest : digests_) known |= CRYPTO_memcmp(digest.data(), given.data(), given.size()) == 0;
  if (!known) return std::nullopt;
  return hex(given.data(), given.size());
}

std::vector<std::string> ApiKeys::tenants() const {
  std::vector<std::string> tenants;
  for (const Digest& digest : digests_) tenants.push_back(hex(digest.data(), digest.size()));
  return tenants;
}

}  // namespace headwater::gateway
