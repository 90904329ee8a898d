#include "cache/key.h"

// libcrypto's EVP takes three times as long for a record of a block.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

namespace headwater::cache {
namespace {

/// What a field of a record is; part of what is hashed, so that fields of different kinds never collide.
enum class Field : std::uint8_t { root = 1, model, kv_format, adapter, salt, parent, tokens, tenant, compute };

/// Hashes a record of (type, length, bytes) fields.
class Record {
 public:
  Record() { SHA256_Init(&sha256_); }

  Record& add(Field field, const void* data, std::size_t size) {
    std::uint8_t head[9] = {static_cast<std::uint8_t>(field)};
    for (std::size_t i = 0; i < 8; ++i) head[1 + i] = static_cast<std::uint8_t>(std::uint64_t{size} >> (8 * i));
    SHA256_Update(&sha256_, head, sizeof head);
    SHA256_Update(&sha256_, data, size);
    return *this;
  }
  Record& add(Field field, std::string_view text) { return add(field, text.data(), text.size()); }

  Key finish() {
    Key key{};
    SHA256_Final(key.data(), &sha256_);
    return key;
  }

 private:
  SHA256_CTX sha256_{};
};

}  // namespace

Key root_key(const KeyContext& context, std::string_view tenant, std::string_view salt) {
  return Record()
      .add(Field::root, "headwater")
      .add(Field::model, context.model_digest.data(), context.model_digest.size())
      .add(Field::kv_format, context.kv_format)
      .add(Field::adapter, context.adapter)
      .add(Field::compute, context.compute)
      .add(Field::tenant, tenant)
      .add(Field::salt, salt)
      .finish();
}

Key block_key(const Key& parent, std::span<const TokenId> tokens) {
  return Record()
      .add(Field::parent, parent.data(), parent.size())
      .add(Field::tokens, tokens.data(), tokens.size_bytes())
      .finish();
}

}  // namespace headwater::cache
