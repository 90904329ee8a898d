#pragma once
// Where clients meet the graph: requests enter here, events leave here. It is what a topology calls
// "gateway", and it keeps the ledger of all requests (schedule::RequestLedger). Threading: ClientState from any thread.

#include <atomic>
#include <caf/all.hpp>
#include <memory>
#include <mutex>

#include "actors/admission.h"
#include "actors/assets.h"
#include "headwater/runtime.h"
#include "topology/topology.h"

namespace headwater::actors {

/// What the frontend holds of a client. Its handler runs under the lock, so that none is running once close()
/// has returned (a handler may close its own client).
class ClientState {
 public:
  ClientState(ConnectionId id, EventHandler handler) : id_(id), handler_(std::move(handler)) {}

  ConnectionId id() const { return id_; }
  void deliver(std::span<const TokenEvent> events);
  void close();

  std::atomic<std::uint32_t> in_flight{0};

 private:
  const ConnectionId id_;
  std::recursive_mutex mutex_;
  EventHandler handler_;
  bool closed_ = false;
};

/// client → frontend: a request that has credit.
struct SubmitRequest {
  schedule::RequestPtr request;
  std::shared_ptr<ClientState> client;
};
/// client → frontend.
struct CancelRequest {
  ConnectionId connection = 0;
  RequestId id = 0;
};
/// client → frontend: the client is gone; 0: all of them.
struct CancelConnection {
  ConnectionId connection = 0;
};
/// → frontend: the supervisor, whose death it is to notice.
struct WatchSupervisor {
  caf::actor_addr supervisor;
};
/// supervisor → frontend, after the stage runs again and everybody is wired to it.
struct StageLost {
  std::string id, kind;
  topology::Loss loss = topology::Loss::cache_state;
  std::uint32_t replica = 0, replicas = 1;
  std::uint64_t epoch = 0;  ///< the one that counts from now on
  bool no_memory = false;   ///< that was why
};

caf::actor spawn_frontend(caf::actor_system& system, std::shared_ptr<const Assets> assets,
                          std::shared_ptr<Admission> admission);

}  // namespace headwater::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::SubmitRequest)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::CancelRequest)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::CancelConnection)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::WatchSupervisor)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::StageLost)
