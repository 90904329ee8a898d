#pragma once
// A store in memory that fails, loses, damages and dawdles as it is told.

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "cache/tier/block_store.h"

namespace headwater::cache {

/// What is wrong with the device. Set from any thread.
struct Faults {
  std::atomic<bool> open_fails{false};
  std::atomic<bool> put_fails{false};  ///< the disk is full
  std::atomic<bool> get_fails{false};  ///< the device does not answer
  std::atomic<bool> get_throws{false};
  std::atomic<bool> erase_fails{false};
  std::atomic<bool> damages{false};          ///< a bit of what is read is another
  std::function<void()> before_get = [] {};  ///< set before the store is used

  // What has been called.
  std::atomic<int> opens{0}, puts{0}, gets{0}, erases{0};
};

/// The records outlive the store, as files do.
class FakeStore : public BlockStore {
 public:
  struct Record {
    TierTerms terms;
    std::vector<std::byte> bytes;
  };
  using Records = std::map<Key, Record>;

  FakeStore(std::shared_ptr<Faults> faults, std::shared_ptr<Records> records, std::size_t most = 1000)
      : faults_(std::move(faults)), records_(std::move(records)), most_(most) {}

  Result<std::vector<TierEntry>> open() override {
    ++faults_->opens;
    if (faults_->open_fails) return Error{ErrorCode::store_failed, "no such device", ""};
    order_.clear();
    std::vector<TierEntry> entries;
    for (const auto& [key, record] : *records_) {
      order_.push_back(key);
      entries.push_back({key, record.terms});
    }
    return entries;
  }
  Result<std::vector<Key>> put(const TierEntry& entry, std::span<const std::byte> head,
                               std::span<const std::byte> body) override {
    ++faults_->puts;
    if (faults_->put_fails) return Error{ErrorCode::store_failed, "no space left on device", ""};
    Record& record = (*records_)[entry.key];
    record.terms = entry.terms;
    record.bytes.assign(head.begin(), head.end());
    record.bytes.insert(record.bytes.end(), body.begin(), body.end());
    std::erase(order_, entry.key);
    order_.push_back(entry.key);
    std::vector<Key> dropped;
    for (; order_.size() > most_; order_.pop_front()) {
      dropped.push_back(order_.front());
      records_->erase(order_.front());
    }
    return dropped;
  }
  Result<bool> get(const Key& key, const Read& read) override {
    ++faults_->gets;
    faults_->before_get();
    if (faults_->get_throws) throw std::runtime_error("the store is broken");
    if (faults_->get_fails) return Error{ErrorCode::store_failed, "input/output error", ""};
    const auto found = records_->find(key);
    if (found == records_->end()) return false;
    auto record = found->second.bytes;
    if (faults_->damages) record.back() ^= std::byte{1};
    read(record);
    return true;
  }
  Result<void> erase(std::span<const Key> keys) override {
    ++faults_->erases;
    if (faults_->erase_fails) return Error{ErrorCode::store_failed, "read-only file system", ""};
    for (const Key& key : keys) {
      records_->erase(key);
      std::erase(order_, key);
    }
    return {};
  }
  Result<void> clear() override {
    std::vector<Key> keys(order_.begin(), order_.end());
    return erase(keys);
  }
  StoreState state() const override {
    StoreState state{0, 1'000'000'000, std::nullopt};
    for (const auto& [key, record] : *records_) state.bytes += record.bytes.size();
    if (!order_.empty()) state.next_out = records_->at(order_.front()).terms.tenant;
    return state;
  }
  std::string name() const override { return "fake"; }

 private:
  std::shared_ptr<Faults> faults_;
  std::shared_ptr<Records> records_;
  std::size_t most_;
  std::deque<Key> order_;
};

}  // namespace headwater::cache
