#pragma once
// The open connections: how many there are, and how to end them all.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace headwater::gateway {

/// What serves one connection.
class Connection {
 public:
  virtual ~Connection() = default;
  /// Ends the connection: after what is being answered, or `at_once`. Any thread; returns immediately.
  virtual void end(bool at_once) = 0;
  /// Ends it for others to have its place, unless it has something to do by then. Any thread; returns immediately.
  virtual void make_room() = 0;

  /// Since when there is nothing to do for it, in the steady clock's ticks. 0: it is busy. Any thread.
  std::int64_t idle_since() const { return idle_since_; }

 protected:
  void set_busy() { idle_since_ = 0; }
  void set_idle() { idle_since_ = std::chrono::steady_clock::now().time_since_epoch().count(); }
  /// make_room() came too late.
  void stay() { asked_to_go_ = false; }

 private:
  friend class Connections;
  std::atomic<std::int64_t> idle_since_{0};
  std::atomic<bool> asked_to_go_{false};
};

/// Threading: every member may be called from any thread.
class Connections {
 public:
  explicit Connections(std::size_t limit) : limit_(limit) {}

  /// Where the limit is reached, the one that has been idle for longest makes room. False where all are busy.
  /// Every reserve() that succeeds needs one release().
  bool reserve() {
    std::shared_ptr<Connection> idlest;  // outlives the lock: it may die here, and be removed
    const std::scoped_lock lock(mutex_);
    if (reserved_ >= limit_) {
      if (reserved_ < limit_ + kMostGoing) idlest = find_idlest();
      if (idlest == nullptr) return false;
      idlest->asked_to_go_ = true;
      idlest->make_room();
    }
    ++reserved_;
    return true;
  }
  void release() {
    const std::scoped_lock lock(mutex_);
    --reserved_;
    changed_.notify_all();
  }

  void add(const std::shared_ptr<Connection>& connection) {
    const std::scoped_lock lock(mutex_);
    open_[connection.get()] = connection;
    if (ending_) connection->end(at_once_);
  }
  void remove(const Connection* connection) {
    const std::scoped_lock lock(mutex_);
    open_.erase(connection);
  }

  /// Ends those that are open, and those to come as they are added.
  void end_all(bool at_once) {
    std::vector<std::shared_ptr<Connection>>
        connections;  // outlives the lock: one of them may die here, and be removed
    const std::scoped_lock lock(mutex_);
    ending_ = true;
    at_once_ = at_once;
    for (auto& [key, weak] : open_) {
      if (auto connection = weak.lock()) connections.push_back(std::move(connection));
    }
    for (const auto& connection : connections) connection->end(at_once);
  }
  /// Whether all are gone within `patience`.
  bool wait_until_empty(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return reserved_ == 0; });
  }

 private:
  /// Those that make room still have their places while they do: more than the limit, by so many at most.
  static constexpr std::size_t kMostGoing = 64;

  std::shared_ptr<Connection> find_idlest() const {
    const std::weak_ptr<Connection>* found = nullptr;
    std::int64_t since = 0;
    for (const auto& [connection, weak] : open_) {
      const std::int64_t idle = connection->idle_since();
      if (idle == 0 || connection->asked_to_go_ || (found != nullptr && idle >= since)) continue;
      found = &weak;
      since = idle;
    }
    return found != nullptr ? found->lock() : nullptr;
  }

  const std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t reserved_ = 0;
  bool ending_ = false;
  bool at_once_ = false;
  std::unordered_map<const Connection*, std::weak_ptr<Connection>> open_;
};

/// One place among the connections, given back at the end.
class ConnectionSlot {
 public:
  /// REQUIRES: connections.reserve() has succeeded for it.
  explicit ConnectionSlot(Connections& connections) : connections_(&connections) {}
  ConnectionSlot(ConnectionSlot&& other) noexcept : connections_(std::exchange(other.connections_, nullptr)) {}
  ConnectionSlot& operator=(ConnectionSlot&&) = delete;
  ~ConnectionSlot() {
    if (connections_ != nullptr) connections_->release();
  }

 private:
  Connections* connections_;
};

}  // namespace headwater::gateway
