#include "cache/key.h"

#include <openssl/evp.h>

#include <memory>
#include <stdexcept>

namespace headwater::cache {
namespace {

/// What a field of a record is; part of what is hashed, so that fields of different kinds never collide.
enum class Field : std::uint8_t { root = 1, model, kv_format, adapter, salt, parent, tokens, tenant, compute };

/// Hashes a record of (type, length, bytes) fields.
class Record {
 public:
  Record() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    if (context_ == nullptr || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) {
      throw std::runtime_error("SHA-256 is not available in libcrypto");
    }
  }

  Record& add(Field field, const void* data, std::size_t size) {
    std::uint8_t head[9] = {static_cast<std::uint8_t>(field)};
    for (std::size_t i = 0; i < 8; ++i) head[1 + i] = static_cast<std::uint8_t>(std::uint64_t{size} >> (8 * i));
    update(head, sizeof head);
    update(data, size);
    return *this;
  }
  Record& add(Field field, std::string_view text) { return add(field, text.data(), text.size()); }

  Key finish() {
    Key key{};
    unsigned size = 0;
    if (EVP_DigestFinal_ex(context_.get(), key.data(), &size) != 1) throw std::runtime_error("SHA-256 failed");
    return key;
  }

 private:
  void update(const void* data, std::size_t size) {
    if (size > 0 && EVP_DigestUpdate(context_.get(), data, size) != 1) throw std::runtime_error("SHA-256 failed");
  }

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
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
