#include "cache/key.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <set>

namespace headwater::cache {
namespace {

KeyContext context(std::string format, std::string adapter) {
  KeyContext context;
  context.kv_format = std::move(format);
  context.adapter = std::move(adapter);
  return context;
}

void append(std::string& record, std::uint8_t type, const std::string& bytes) {
  record.push_back(static_cast<char>(type));
  for (int i = 0; i < 8; ++i) record.push_back(static_cast<char>(std::uint64_t{bytes.size()} >> (8 * i)));
  record += bytes;
}

Key sha256(const std::string& record) {
  Key key{};
  SHA256(reinterpret_cast<const unsigned char*>(record.data()), record.size(), key.data());
  return key;
}

TEST(Key, RootIsTheHashOfTypedLengthDelimitedFields) {
  KeyContext given = context("f16", "lora");
  given.model_digest.fill(0xAB);
  given.compute = "cpu fast";
  std::string record;
  append(record, 1, "headwater");
  append(record, 2, std::string(32, '\xAB'));
  append(record, 3, "f16");
  append(record, 4, "lora");
  append(record, 9, "cpu fast");
  append(record, 8, "tenant");
  append(record, 5, "salt");
  EXPECT_EQ(root_key(given, "tenant", "salt"), sha256(record));
}

TEST(Key, BlockIsTheHashOfParentAndTokens) {
  const Key parent = root_key({}, "", "");
  std::string record;
  append(record, 6, std::string(parent.begin(), parent.end()));
  append(record, 7, std::string("\x01\0\0\0\x02\x01\0\0", 8));
  EXPECT_EQ(block_key(parent, std::vector<TokenId>{1, 258}), sha256(record));
}

TEST(Key, FieldsThatReadTheSameInARowNeverCollide) {
  std::set<Key> keys;
  keys.insert(root_key(context("", "b"), "", "a"));
  keys.insert(root_key(context("", ""), "", "ab"));
  keys.insert(root_key(context("", "ab"), "", ""));
  keys.insert(root_key(context("", "a"), "", "b"));
  keys.insert(root_key(context("ab", ""), "", ""));
  keys.insert(root_key(context("a", "b"), "", ""));
  keys.insert(root_key(context("a", ""), "", "b"));
  keys.insert(root_key(context("", ""), "", ""));
  keys.insert(root_key(context("", ""), "a", "b"));
  keys.insert(root_key(context("", ""), "b", "a"));
  keys.insert(root_key(context("", ""), "ab", ""));
  keys.insert(root_key(context("", ""), "", std::string_view("\0", 1)));
  EXPECT_EQ(keys.size(), 12U);
}

TEST(Key, DependsOnTheModelTheParentAndEveryToken) {
  KeyContext other;
  other.model_digest[31] = 1;
  EXPECT_NE(root_key({}, "", ""), root_key(other, "", ""));
  const std::vector<TokenId> tokens{1, 2, 3};
  const Key key = block_key(root_key({}, "", ""), tokens);
  EXPECT_EQ(key, block_key(root_key({}, "", ""), tokens));
  EXPECT_NE(key, block_key(root_key(other, "", ""), tokens));
  EXPECT_NE(key, block_key(root_key({}, "", ""), std::vector<TokenId>{1, 2, 4}));
  EXPECT_NE(key, block_key(root_key({}, "", ""), std::vector<TokenId>{2, 1, 3}));
  EXPECT_NE(key, block_key(root_key({}, "", ""), std::vector<TokenId>{1, 2, 3, 0}));
  EXPECT_NE(key, block_key(key, tokens));
}

}  // namespace
}  // namespace headwater::cache
