#include "actors/warm_up.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

namespace headwater::actors {
namespace {

using Clock = std::chrono::steady_clock;

/// How often progress is logged.
constexpr auto kInterval = std::chrono::seconds(2);

/// A client that waits for the end of what it asks.
class Asker {
 public:
  explicit Asker(Runtime& runtime)
      : client_(runtime.connect([this](std::span<const TokenEvent> events) {
          const std::scoped_lock lock(mutex_);
          if (events.back().terminal()) ended_ = events.back();
          changed_.notify_one();
        })) {}

  Result<Usage> ask(Request request) {
    if (const auto ticket = client_->submit(std::move(request)); !ticket) return ticket.error();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ended_.has_value(); });
    const TokenEvent end = *std::exchange(ended_, std::nullopt);
    if (end.kind == TokenEvent::Kind::finished) return end.usage;
    if (end.kind == TokenEvent::Kind::failed) return end.error;
    return Error{ErrorCode::cancelled, "the request was cancelled", ""};
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<TokenEvent> ended_;
  std::unique_ptr<Client> client_;
};

Request request_for(const topology::WarmupPrompt& prompt, const std::string& tenant) {
  Request request;
  request.prompt = prompt.prompt;
  request.params.max_tokens = 1;
  request.params.temperature = 0;
  request.tenant = tenant;
  return request;
}

}  // namespace

Result<void> warm_up(Runtime& runtime, std::span<const topology::WarmupPrompt> prompts,
                     std::span<const std::string> tenants) {
  if (prompts.empty()) return {};
  static const std::string kNameless;
  if (tenants.empty()) tenants = {&kNameless, 1};
  Asker asker(runtime);
  std::uint64_t done = 0, tokens = 0, cached = 0;
  const std::uint64_t all = prompts.size() * tenants.size();
  const auto began = Clock::now();
  auto logged = began;
  for (const std::string& tenant : tenants) {
    for (const topology::WarmupPrompt& prompt : prompts) {
      const auto usage = asker.ask(request_for(prompt, tenant));
      if (!usage) return Error{usage.error().code, prompt.name + ": " + usage.error().message, "warmup"};
      ++done;
      tokens += usage->prompt_tokens;
      cached += usage->cached_tokens;
      if (Clock::now() - logged < kInterval) continue;
      logged = Clock::now();
      spdlog::info("warming up: {} of {} prompts, {} tokens", done, all, tokens);
    }
  }
  spdlog::info("warmed up with {} prompts in {:.1f} s: {} tokens, {} of them shared with others", done,
               std::chrono::duration<double>(Clock::now() - began).count(), tokens, cached);
  if (const std::uint64_t room = runtime.model().kv_tokens; tokens - cached > room) {
    spdlog::warn("the warm-up prompts have {} tokens, more than the {} that the cache holds; raise cache_size_limit",
                 tokens - cached, room);
  }
  return {};
}

}  // namespace headwater::actors
