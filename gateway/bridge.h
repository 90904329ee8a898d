#pragma once
// Where the runtime's threads meet Asio: one client of the runtime whose events arrive on a connection's strand.

#include <functional>
#include <memory>
#include <vector>

#include "gateway/asio.h"
#include "gateway/metrics.h"
#include "headwater/runtime.h"

namespace headwater::gateway {

/// REQUIRES: all members are called on `strand`, the destructor too (or after the strand's threads have ended).
class Bridge {
 public:
  using Consumer = std::function<void(std::vector<TokenEvent>)>;

  /// `consume` runs on `strand`, never inside a call of submit(), and not after the destructor has begun. It may
  /// destroy the Bridge.
  /// `lost`: the same, where there was no memory for events, so that nothing that comes later can be told.
  Bridge(Runtime& runtime, Metrics& metrics, Executor strand, Consumer consume, std::function<void()> lost);
  /// Cancels what is under way.
  ~Bridge();
  Bridge(const Bridge&) = delete;
  Bridge& operator=(const Bridge&) = delete;

  Result<Client::Ticket> submit(Request request) { return client_->submit(std::move(request)); }
  void cancel(RequestId id) { client_->cancel(id); }

 private:
  struct Inbox;
  std::shared_ptr<Inbox> inbox_;
  std::unique_ptr<Client> client_;
};

}  // namespace headwater::gateway
