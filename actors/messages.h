#pragma once
// The messages between stages. All of them stay inside one process: they carry shared, immutable requests
// and are never serialised (messages for the wire are a family of their own).
//
// Every message of the data path carries the epoch in which it was made. A stage that holds cache state
// cannot lose its part of it alone, so the supervisor then begins a new epoch: everybody forgets, and what is still
// under way from the old one is dropped on arrival.

#include <caf/all.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/prefix_cache.h"
#include "cache/tier/tier_worker.h"
#include "headwater/runtime.h"
#include "schedule/scheduler.h"
#include "schedule/step.h"

namespace headwater::actors {

using schedule::RequestPtr;

// ---- the path of a request -------------------------------------------------------------------------

/// frontend → tokenizer.
struct GenerateRequest {
  std::uint64_t epoch = 0;
  RequestPtr request;  ///< prompt ids still empty
};

/// tokenizer → prefix_matcher.
struct TokenizedRequest {
  std::uint64_t epoch = 0;
  RequestPtr request;
};

/// prefix_matcher → scheduler.
struct MatchedRequest {
  std::uint64_t epoch = 0;
  schedule::MatchedSequence sequence;
};

/// Travels the path of the requests it ends, so that it never overtakes one.
struct CancelRequests {
  std::uint64_t epoch = 0;
  std::vector<RequestId> ids;
};

/// scheduler → executor, one a step.
struct RunStep {
  schedule::StepPlan plan;
};

/// executor → detokenizer and (feedback) scheduler, one a step.
struct StepDone {
  schedule::StepResult result;
};

/// → frontend: at most one for each connection and step.
struct TokenBatch {
  std::uint64_t epoch = 0;
  ConnectionId connection = 0;
  std::vector<TokenEvent> events;
};

/// tokenizer → frontend: the request has passed the stateless part of its path.
struct RequestTokenized {
  RequestId id = 0;
  std::uint32_t prompt_tokens = 0;
};

// ---- the cache plane -------------------------------------------------------------------------------

/// scheduler → prefix_matcher.
struct CacheUpdate {
  std::uint64_t epoch = 0;
  schedule::CacheChanges changes;
  double prefill_speed = 0;  ///< tokens a second; 0: not known
};

/// scheduler → cache_evictor.
struct BlockDemand {
  std::uint64_t epoch = 0;
  std::uint32_t blocks = 0;
  bool again = false;  ///< asked a second time, by the prefix_matcher
};

/// cache_evictor → prefix_matcher: the demand, and whom to evict for it if free blocks do not do.
struct ReclaimBlocks {
  std::uint64_t epoch = 0;
  std::uint32_t blocks = 0;
  std::vector<BlockId> victims;
  bool again = false;
};

/// prefix_matcher → scheduler: exactly one for each demand.
struct BlockGrant {
  std::uint64_t epoch = 0;
  std::uint32_t asked = 0;
  std::vector<BlockId> blocks;
  std::vector<schedule::BlockSave> saves;  ///< of these, what they have held
};

/// prefix_matcher → cache_evictor.
struct CacheTouches {
  std::uint64_t epoch = 0;
  std::vector<cache::Touch> touches;
};

// ---- the cache tier ---------------------------------------------------------------------------------

/// prefix_matcher → scheduler: to be read out by the next plan.
struct SaveBlocks {
  std::uint64_t epoch = 0;
  std::vector<schedule::BlockSave> saves;
};

/// executor → cache_tier: what plans have read out. As many are under way as the prefix_matcher allows.
struct StoreBlocks {
  std::uint64_t epoch = 0;
  std::vector<cache::TierBlock> blocks;
};

/// cache_tier → prefix_matcher, for each block.
struct TierSaved {
  std::uint64_t epoch = 0;
  cache::SaveOutcome outcome;
};

/// prefix_matcher → cache_tier.
struct LoadBlocks {
  std::uint64_t epoch = 0;
  std::uint64_t number = 0;
  std::vector<cache::BlockName> chain;
  TimeNs read_until = 0;
};

/// cache_tier → prefix_matcher: exactly one for each load, sometime.
struct TierLoaded {
  std::uint64_t epoch = 0;
  std::uint64_t number = 0;
  cache::LoadOutcome outcome;
};

/// prefix_matcher → itself: a load's time is over.
struct LoadLate {
  std::uint64_t epoch = 0;
  std::uint64_t number = 0;
};

/// prefix_matcher → scheduler: memory that goes back to the system. Comes before what is matched or granted since.
struct GiveBack {
  std::uint64_t epoch = 0;
  cache::GivenBack what;
};

/// prefix_matcher → cache_tier: try anew.
struct OpenTier {
  std::uint64_t epoch = 0;
};

/// prefix_matcher → cache_tier. Answered by cache::EraseOutcome.
struct EraseBlocks {
  cache::Erasure what;
};

/// cache_tier → prefix_matcher, as an epoch begins and in answer to OpenTier.
struct TierOpened {
  std::uint64_t epoch = 0;
  bool fresh = false;  ///< the tier has just begun: what it was sent before is lost
  cache::OpenOutcome outcome;
};

/// cache_tier → prefix_matcher: the device has not answered for long. What waits there is done when it answers.
struct TierHung {
  std::uint64_t epoch = 0;
};

// ---- what an operator asks of the prefix_matcher ---------------------------------------------------

/// Answered by CacheStatus.
struct CacheStatusQuery {};
/// Answered by CacheFlush.
struct FlushCache {
  std::optional<std::string> tenant;
};
/// Answered by CachePins.
struct PinPrompt {
  std::vector<TokenId> tokens;
  CacheOwner owner;
  std::optional<TimeNs> until;  ///< none: unpin
};

/// Runtime::end_session() → frontend → prefix_matcher.
struct EndSession {
  std::string tenant, session;
};

// ---- the control plane -----------------------------------------------------------------------------

/// The single stages that hear of others beside the path. Null: the topology has none.
struct Peers {
  caf::actor prefix_matcher, scheduler, cache_evictor, cache_tier;
};

/// supervisor → every stage, at the start and after each restart: whom it talks to.
struct Wire {
  std::vector<caf::actor> to;  ///< successors on the path, replicas in order
  Peers peers;
  caf::actor frontend;
};

/// supervisor → every stage: forget everything of earlier epochs.
struct ResetStage {
  std::uint64_t epoch = 0;
};

/// The epoch in which a message of the data path was made.
template <class Message>
requires requires(const Message& message) { message.epoch; }
std::uint64_t epoch_of(const Message& message) { return message.epoch; }
inline std::uint64_t epoch_of(const RunStep& message) { return message.plan.epoch; }
inline std::uint64_t epoch_of(const StepDone& message) { return message.result.epoch; }

/// Asks the prefix_matcher for a CacheAdviceReply.
struct CacheAdviceQuery {};

struct CacheAdviceReply {
  CacheAdvice advice;
};

/// Asks a stage for Stats, in which it sets what it counts itself.
struct StatsQuery {};

}  // namespace headwater::actors

#define HEADWATER_LOCAL_MESSAGE(type) CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::type)
HEADWATER_LOCAL_MESSAGE(GenerateRequest)
HEADWATER_LOCAL_MESSAGE(TokenizedRequest)
HEADWATER_LOCAL_MESSAGE(MatchedRequest)
HEADWATER_LOCAL_MESSAGE(CancelRequests)
HEADWATER_LOCAL_MESSAGE(RunStep)
HEADWATER_LOCAL_MESSAGE(StepDone)
HEADWATER_LOCAL_MESSAGE(TokenBatch)
HEADWATER_LOCAL_MESSAGE(RequestTokenized)
HEADWATER_LOCAL_MESSAGE(CacheUpdate)
HEADWATER_LOCAL_MESSAGE(BlockDemand)
HEADWATER_LOCAL_MESSAGE(ReclaimBlocks)
HEADWATER_LOCAL_MESSAGE(BlockGrant)
HEADWATER_LOCAL_MESSAGE(CacheTouches)
HEADWATER_LOCAL_MESSAGE(CacheStatusQuery)
HEADWATER_LOCAL_MESSAGE(FlushCache)
HEADWATER_LOCAL_MESSAGE(PinPrompt)
HEADWATER_LOCAL_MESSAGE(EndSession)
HEADWATER_LOCAL_MESSAGE(SaveBlocks)
HEADWATER_LOCAL_MESSAGE(GiveBack)
HEADWATER_LOCAL_MESSAGE(StoreBlocks)
HEADWATER_LOCAL_MESSAGE(TierSaved)
HEADWATER_LOCAL_MESSAGE(LoadBlocks)
HEADWATER_LOCAL_MESSAGE(TierLoaded)
HEADWATER_LOCAL_MESSAGE(LoadLate)
HEADWATER_LOCAL_MESSAGE(OpenTier)
HEADWATER_LOCAL_MESSAGE(TierOpened)
HEADWATER_LOCAL_MESSAGE(TierHung)
HEADWATER_LOCAL_MESSAGE(EraseBlocks)
HEADWATER_LOCAL_MESSAGE(Wire)
HEADWATER_LOCAL_MESSAGE(ResetStage)
HEADWATER_LOCAL_MESSAGE(CacheAdviceQuery)
HEADWATER_LOCAL_MESSAGE(CacheAdviceReply)
HEADWATER_LOCAL_MESSAGE(StatsQuery)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::Stats)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::CacheStatus)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::CachePins)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::CacheFlush)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::cache::EraseOutcome)
