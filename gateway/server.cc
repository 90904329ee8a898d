#include "gateway/server.h"

#include <spdlog/spdlog.h>

#include <optional>
#include <thread>

#include "gateway/hub.h"
#include "gateway/listener.h"
#include "gateway/throughput_log.h"

namespace headwater::gateway {
namespace {

/// How long stop() lets answers under way be written.
constexpr auto kGrace = std::chrono::seconds(2);

Result<void> check(const ServerOptions& options) {
  const auto bad = [](const char* message) { return Error{ErrorCode::invalid_options, message, ""}; };
  if (options.threads == 0 || options.threads > 256) return bad("threads must be from 1 to 256");
  if (options.max_connections == 0) return bad("max_connections must be at least 1");
  if (options.max_body_bytes == 0) return bad("max_body_bytes must be at least 1");
  if (auto wrong = check_origins(options.allow_origins)) {
    return Error{ErrorCode::invalid_options, "allow_origins: " + *wrong, ""};
  }
  for (const std::string& key : options.api_keys) {
    if (key.empty()) return bad("an API key is empty; remove it, or nobody can be told apart from strangers");
  }
  for (const std::string& key : options.admin_keys) {
    if (key.empty()) return bad("an admin key is empty; remove it to turn /admin off");
  }
  return {};
}

}  // namespace

class Server::Impl {
 public:
  Impl(Runtime& runtime, const ServerOptions& options)
      : hub_(runtime, options),
        context_(static_cast<int>(options.threads)),
        work_(context_.get_executor()),
        listener_(std::make_shared<Listener>(hub_, context_)) {}

  Result<void> start() {
    if (auto listening = listener_->listen(); !listening) return listening;
    listener_->start();
    for (std::uint32_t i = 0; i < hub_.options.threads; ++i) threads_.emplace_back([this] { run_all(context_); });
    spdlog::info("listening on {}:{}", hub_.options.host, listener_->port());
    throughput_.emplace(hub_.runtime, [this] { hub_.log.tell_untold(); });
    return {};
  }

  std::uint16_t port() const { return listener_->port(); }

  void stop_accepting() {
    hub_.accepting = false;
    listener_->close();
  }

  void stop() {
    if (stopped_.exchange(true)) return;
    stop_accepting();
    hub_.connections.end_all(false);
    if (!hub_.connections.wait_until_empty(kGrace)) hub_.connections.end_all(true);
    // Nothing is torn down from outside: every connection ends by itself, and with the last one the threads do.
    work_.reset();
    for (std::thread& thread : threads_) thread.join();
    hub_.workers.join();
    hub_.scrapers.join();
    throughput_.reset();
  }

 private:
  Hub hub_;
  net::io_context context_;
  net::executor_work_guard<net::io_context::executor_type> work_;
  std::shared_ptr<Listener> listener_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stopped_{false};
  std::optional<ThroughputLog> throughput_;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(Runtime& runtime, const ServerOptions& options) {
  if (const auto checked = check(options); !checked) return checked.error();
  auto impl = std::make_unique<Impl>(runtime, options);
  if (const auto started = impl->start(); !started) return started.error();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::uint16_t Server::port() const { return impl_->port(); }
void Server::stop_accepting() { impl_->stop_accepting(); }
void Server::stop() { impl_->stop(); }

}  // namespace headwater::gateway
