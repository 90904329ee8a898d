#include "gateway/buffer_budget.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "headwater/runtime.h"

namespace headwater::gateway {
namespace {

/// A reader that has taken nothing for so long goes before those that read.
constexpr auto kStalled = std::chrono::seconds(1);
constexpr std::uint64_t kLeast = 64 << 20;

std::string in_mib(std::uint64_t bytes) { return std::to_string(bytes >> 20U) + " MiB"; }

}  // namespace

std::uint64_t default_buffer_limit() { return std::max(Runtime::memory_limit() / 8, kLeast); }

std::uint64_t BufferBudget::used() const {
  const std::scoped_lock lock(mutex_);
  return used_;
}

BufferAccount* BufferBudget::too_much(Clock::time_point now) {
  if (used_ - going_ <= limit_) return nullptr;
  BufferAccount* most = nullptr;
  bool stalled = false;
  for (BufferAccount* account : accounts_) {
    if (account->going_ || account->output_ == 0) continue;
    const bool waits = now - account->taken_ >= kStalled;
    if (stalled && !waits) continue;
    if (most == nullptr || (waits && !stalled) || account->output_ > most->output_) most = account;
    stalled = stalled || waits;
  }
  return most;
}

BufferAccount::BufferAccount(BufferBudget& budget, std::function<void()> shed)
    : budget_(budget), shed_(std::move(shed)) {
  const std::scoped_lock lock(budget_.mutex_);
  budget_.accounts_.insert(this);
}

BufferAccount::~BufferAccount() {
  const std::scoped_lock lock(budget_.mutex_);
  budget_.used_ -= input_ + output_;
  if (going_) budget_.going_ -= output_;
  budget_.accounts_.erase(this);
}

Result<void> BufferAccount::keep_input(std::uint64_t bytes) {
  const std::scoped_lock lock(budget_.mutex_);
  if (bytes > input_ && budget_.used_ + (bytes - input_) > budget_.limit_) {
    return Error{ErrorCode::unavailable,
                 "the server keeps as many bytes of requests and unread answers as it takes (" +
                     in_mib(budget_.limit_) + "); try again in a moment, or start it with a larger --max-buffered",
                 ""};
  }
  budget_.used_ += bytes - input_;
  input_ = bytes;
  return {};
}

void BufferAccount::keep_output(std::uint64_t bytes) {
  const auto now = BufferBudget::Clock::now();
  const std::scoped_lock lock(budget_.mutex_);
  if (output_ == 0 || bytes < output_) taken_ = now;
  budget_.used_ += bytes - output_;
  if (going_) budget_.going_ += bytes - output_;
  const bool grows = bytes > output_;
  output_ = bytes;
  if (!grows) return;
  BufferAccount* const gone = budget_.too_much(now);
  if (gone == nullptr) return;
  gone->going_ = true;
  budget_.going_ += gone->output_;
  spdlog::warn("a connection is ended: {} of its answers were not taken, and all connections keep more than {}",
               in_mib(gone->output_), in_mib(budget_.limit_));
  gone->shed_();
}

}  // namespace headwater::gateway
