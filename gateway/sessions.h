#pragma once
// The open connections: how many there are, and how to end them all.

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace headwater::gateway {

/// What serves one connection.
class Session {
 public:
  virtual ~Session() = default;
  /// Ends the connection: after what is being answered, or `at_once`. Any thread; returns immediately.
  virtual void end(bool at_once) = 0;
};

/// Threading: every member may be called from any thread.
class Sessions {
 public:
  explicit Sessions(std::size_t limit) : limit_(limit) {}

  /// False where the limit is reached. Every reserve() that succeeds needs one release().
  bool reserve() {
    const std::scoped_lock lock(mutex_);
    if (reserved_ >= limit_) return false;
    ++reserved_;
    return true;
  }
  void release() {
    const std::scoped_lock lock(mutex_);
    --reserved_;
    changed_.notify_all();
  }

  void add(const std::shared_ptr<Session>& session) {
    const std::scoped_lock lock(mutex_);
    open_[session.get()] = session;
    if (ending_) session->end(at_once_);
  }
  void remove(const Session* session) {
    const std::scoped_lock lock(mutex_);
    open_.erase(session);
  }

  /// Ends those that are open, and those to come as they are added.
  void end_all(bool at_once) {
    std::vector<std::shared_ptr<Session>> sessions;  // outlives the lock: one of them may die here, and be removed
    const std::scoped_lock lock(mutex_);
    ending_ = true;
    at_once_ = at_once;
    for (auto& [key, weak] : open_) {
      if (auto session = weak.lock()) sessions.push_back(std::move(session));
    }
    for (const auto& session : sessions) session->end(at_once);
  }
  /// Whether all are gone within `patience`.
  bool wait_until_empty(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return reserved_ == 0; });
  }

 private:
  const std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t reserved_ = 0;
  bool ending_ = false;
  bool at_once_ = false;
  std::unordered_map<const Session*, std::weak_ptr<Session>> open_;
};

/// One place among the connections, given back at the end.
class SessionSlot {
 public:
  /// REQUIRES: sessions.reserve() has succeeded for it.
  explicit SessionSlot(Sessions& sessions) : sessions_(&sessions) {}
  SessionSlot(SessionSlot&& other) noexcept : sessions_(std::exchange(other.sessions_, nullptr)) {}
  SessionSlot& operator=(SessionSlot&&) = delete;
  ~SessionSlot() {
    if (sessions_ != nullptr) sessions_->release();
  }

 private:
  Sessions* sessions_;
};

}  // namespace headwater::gateway
