#pragma once
// A SegmentStore in a folder of the test's own.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "cache/tier/segment_store.h"
#include "tests/cache/tier/blocks.h"

namespace headwater::cache {

inline Result<std::vector<Key>> put_block(BlockStore& store, const TierBlock& block) {
  return store.put(block.entry(), record_head(block.name, block.bytes->bytes()), block.bytes->bytes());
}

class StoreFixture : public testing::Test {
 protected:
  static constexpr std::uint64_t kLimit = 16 << 20;

  void SetUp() override {
    parent_ = std::filesystem::temp_directory_path() / ("headwater_store_" + std::to_string(getpid()));
    folder_ = parent_ / "headwater-kv";
    std::filesystem::remove_all(parent_);
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(parent_);
  }

  /// A store of a new process; gives what it holds, oldest first.
  std::vector<Key> open(std::uint64_t limit = kLimit, FileSystem* files = nullptr) {
    store_.reset();
    store_ = std::make_unique<SegmentStore>(SegmentStoreOptions{parent_.string(), limit, files});
    return reopen();
  }
  std::vector<Key> reopen() {
    const auto entries = store_->open();
    EXPECT_TRUE(entries.ok()) << entries.error().message;
    std::vector<Key> keys;
    if (entries) {
      for (const TierEntry& entry : *entries) keys.push_back(entry.key);
    }
    return keys;
  }
  Result<std::vector<Key>> put(const TierBlock& block) { return put_block(*store_, block); }
  std::vector<std::byte> get(const TierBlock& block) {
    std::vector<std::byte> found;
    const auto got = store_->get(block.name.key, [&](auto record) { found.assign(record.begin(), record.end()); });
    EXPECT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(got.ok() && *got, !found.empty());
    return found;
  }
  std::uint64_t bytes_on_disk() const {
    std::uint64_t bytes = 0;
    for (const auto& file : std::filesystem::recursive_directory_iterator(parent_)) {
      if (file.is_regular_file()) bytes += (file.file_size() + 4095) / 4096 * 4096;
    }
    return bytes;
  }
  std::vector<std::filesystem::path> files(const std::string& extension) const {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      if (entry.path().extension() == extension) paths.push_back(entry.path());
    }
    std::ranges::sort(paths);
    return paths;
  }
  static void flip(const std::filesystem::path& path, std::uint64_t at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const auto byte = static_cast<char>(file.get() ^ 0x55);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
  }
  bool disk_holds(const std::string& text) const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(parent_)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      if (std::string(std::istreambuf_iterator(file), {}).find(text) != std::string::npos) return true;
    }
    return false;
  }

  std::filesystem::path parent_, folder_;
  std::unique_ptr<SegmentStore> store_;
};

}  // namespace headwater::cache
