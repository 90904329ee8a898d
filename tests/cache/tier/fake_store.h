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
  std::atomic<bool> damages{false};          ///< a bit of what is read is another
  std::function<void()> before_get = [] {};  ///< set before the store is used

  // What has been called.
  std::atomic<int> opens{0}, puts{0}, gets{0}, erases{0};
};

/// The records outlive the store, as files do.
class FakeStore : public BlockStore {
 public:
  using Records = std::map<Key, std::vector<std::byte>>;

  FakeStore(std::shared_ptr<Faults> faults, std::shared_ptr<Records> records, std::size_t most = 1000)
      : faults_(std::move(faults)), records_(std::move(records)), most_(most) {}

  Result<std::vector<Key>> open() override {
    ++faults_->opens;
    if (faults_->open_fails) return Error{"store_failed", "no such device", ""};
    order_.clear();
    for (const auto& [key, record] : *records_) order_.push_back(key);
    return std::vector<Key>(order_.begin(), order_.end());
  }
  Result<std::vector<Key>> put(const Key& key, std::span<const std::byte> head,
                               std::span<const std::byte> body) override {
    ++faults_->puts;
    if (faults_->put_fails) return Error{"store_failed", "no space left on device", ""};
    std::vector<std::byte>& record = (*records_)[key];
    record.assign(head.begin(), head.end());
    record.insert(record.end(), body.begin(), body.end());
    std::erase(order_, key);
    order_.push_back(key);
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
    if (faults_->get_fails) return Error{"store_failed", "input/output error", ""};
    const auto found = records_->find(key);
    if (found == records_->end()) return false;
    auto record = found->second;
    if (faults_->damages) record.back() ^= std::byte{1};
    read(record);
    return true;
  }
  Result<void> erase(const Key& key) override {
    ++faults_->erases;
    records_->erase(key);
    std::erase(order_, key);
    return {};
  }
  std::uint64_t bytes() const override {
    std::uint64_t bytes = 0;
    for (const auto& [key, record] : *records_) bytes += record.size();
    return bytes;
  }
  std::string name() const override { return "fake"; }

 private:
  std::shared_ptr<Faults> faults_;
  std::shared_ptr<Records> records_;
  std::size_t most_;
  std::deque<Key> order_;
};

}  // namespace headwater::cache
