#pragma once
// headwater::Runtime on top of the actor graph. Threading: as Runtime says.

#include <memory>
#include <string>
#include <vector>

#include "actors/stage.h"
#include "actors/supervisor.h"
#include "headwater/runtime.h"

namespace headwater::actors {

/// A Runtime that host programs with CAF, and tests, can look into.
class GraphRuntime : public Runtime {
 public:
  /// Runs a checked topology with stages from `registry`.
  static Result<std::unique_ptr<GraphRuntime>> start(const topology::Topology& topology, const StageRegistry& registry,
                                                     std::shared_ptr<const Assets> assets);
  ~GraphRuntime() override;

  std::unique_ptr<Client> connect(EventHandler on_events) override;
  ModelInfo model() const override { return assets_->info; }
  Result<std::vector<TokenId>> tokenize(std::string_view text, bool add_special, bool parse_special) const override;
  Result<std::vector<TokenId>> tokenize(std::span<const ChatMessage> messages,
                                        const ChatOptions& options) const override;
  Result<std::string> detokenize(std::span<const TokenId> ids) const override;
  Stats stats() const override;
  Result<CacheAdvice> cache_advice() const override;
  Result<CacheStatus> cache_status() const override;
  void end_session(const std::string& tenant, const std::string& session) override;
  Result<CacheFlush> flush_cache(const std::optional<std::string>& tenant) override;
  Result<CachePins> pin_prompt(std::vector<TokenId> prompt, const CacheOwner& owner,
                               std::optional<std::chrono::milliseconds> ttl) override;
  Result<CachePins> unpin_prompt(std::vector<TokenId> prompt, const CacheOwner& owner) override;
  bool drain(std::chrono::milliseconds timeout) override;
  bool draining() const override { return admission_->draining(); }

  /// The stages that run now. A handle is stale once its stage has died.
  std::vector<StageHandle> stages() const;

 private:
  GraphRuntime(const topology::Topology& topology, std::shared_ptr<const Assets> assets);

  /// The prefix_matcher's answer.
  template <class Answer, class Question>
  Result<Answer> ask_cache(Question question) const;

  std::shared_ptr<const Assets> assets_;
  std::shared_ptr<Admission> admission_;
  std::uint32_t max_per_connection_;
  const topology::CacheSpec cache_;
  std::unique_ptr<caf::actor_system_config> config_;
  mutable std::unique_ptr<caf::actor_system> system_;
  caf::actor frontend_;
  caf::actor supervisor_;
  std::atomic<ConnectionId> next_connection_{1};
};

}  // namespace headwater::actors
