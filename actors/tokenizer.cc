// Text or a conversation → token ids, and the request's length held against what can be served. Long prompts are
// encoded in slices and in turns, so that nobody waits for another's.

#include "model/tokenizer.h"

#include <algorithm>
#include <deque>

#include "actors/failure.h"
#include "actors/stage.h"
#include "headwater/context_limit.h"
#include "model/prompt_encoder.h"

namespace headwater::actors {
namespace {

/// Bytes of a prompt between which others have a turn: a few milliseconds.
constexpr std::size_t kSlice = 16 << 10;

/// tokenizer → itself: the next slice.
struct EncodeMore {
  std::uint64_t epoch = 0;
};

}  // namespace
}  // namespace headwater::actors
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(headwater::actors::EncodeMore)

namespace headwater::actors {
namespace {

class TokenizerStage : public StageActor {
 public:
  using StageActor::StageActor;

 private:
  /// A prompt that is being encoded.
  struct Work {
    schedule::RequestPtr request;
    model::PromptEncoder encoder;
  };

  caf::message_handler handlers() override {
    return {
        on<const GenerateRequest>(
            [this](const GenerateRequest& message) { guarded(*message.request, [&] { begin(message.request); }); }),
        on<const EncodeMore>([this](const EncodeMore&) {
          going_on_ = false;
          if (long_.empty()) return;  // cancelled
          Work work = std::move(long_.front());
          long_.pop_front();
          const schedule::RequestPtr request = work.request;
          guarded(*request, [&] { encode(std::move(work)); });
          go_on();
        }),
    };
  }

  /// A lack of memory costs its request, not the stage and all that it has.
  template <class Call>
  void guarded(const schedule::AdmittedRequest& request, Call call) {
    try {
      call();
    } catch (const std::bad_alloc&) {
      reject(request, failure_of(std::current_exception(), "the tokenizer"));
    }
  }

  void go_on() {
    if (long_.empty() || going_on_) return;
    going_on_ = true;
    send(this, EncodeMore{epoch()});
  }

  void on_reset() override {
    long_.clear();
    going_on_ = false;  // what is under way is of an earlier epoch
  }

  void on_cancel(CancelRequests& cancel) override {
    std::erase_if(
        long_, [&](const Work& work) { return std::ranges::find(cancel.ids, work.request->id) != cancel.ids.end(); });
    StageActor::on_cancel(cancel);
  }

  void begin(const schedule::RequestPtr& request) {
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&request->request.prompt)) {
      const auto checked = check_ids(*ids);
      return checked ? finish(*request, *ids) : reject(*request, checked.error());
    }
    auto parts = prompt_parts(request->request);
    if (!parts) return reject(*request, parts.error());
    Work work{request, model::PromptEncoder(*assets().tokenizer, std::move(*parts))};
    if (!work.encoder.may_fit(room(request->request.params))) {
      return reject(*request, too_long("the prompt has " + std::to_string(work.encoder.bytes()) +
                                       " bytes, more than so many tokens can have"));
    }
    encode(std::move(work));
    go_on();
  }

  /// A slice; what is left goes to the end of the queue.
  void encode(Work work) {
    if (!work.encoder.advance(kSlice, room(work.request->request.params))) {
      long_.push_back(std::move(work));
      return;
    }
    finish(*work.request, std::move(work.encoder).take());
  }

  void finish(const schedule::AdmittedRequest& untokenized, std::vector<TokenId> ids) {
    if (ids.empty()) {
      return reject(untokenized,
                    {ErrorCode::invalid_request, "the prompt is empty; send at least one token", "prompt"});
    }
    if (auto fits = check_length(ids.size(), untokenized.request.params); !fits)
      return reject(untokenized, fits.error());
    auto request = std::make_shared<schedule::AdmittedRequest>(untokenized);
    request->prompt = std::move(ids);
    const auto left = assets().max_sequence_tokens - static_cast<std::uint32_t>(request->prompt.size());
    request->max_new_tokens = std::min(request->request.params.max_tokens.value_or(left), left);
    const RequestId id = request->id;
    send(frontend(), RequestTokenized{id, static_cast<std::uint32_t>(request->prompt.size())});
    send(successor(id), TokenizedRequest{epoch(), std::move(request)});
  }

  Result<std::vector<model::PromptPart>> prompt_parts(const Request& request) const {
    if (const auto* messages = std::get_if<std::vector<ChatMessage>>(&request.prompt)) {
      if (assets().chat_template == nullptr) {
        return Error{ErrorCode::invalid_request,
                     "the model has no chat template; send a plain text (`prompt`, run --raw), or name a template "
                     "(--chat-template, model.chat_template)",
                     "messages"};
      }
      std::size_t bytes = 0;
      for (const ChatMessage& message : *messages) bytes += message.content.size() + message.more.size();
      bytes += request.chat.tools.size() + request.chat.variables.size();
      if (auto fits = check_bytes(bytes, "messages"); !fits) return fits.error();
      return model::prompt_parts(*assets().chat_template, *assets().tokenizer, *messages, request.chat);
    }
    const std::string& text = std::get<std::string>(request.prompt);
    if (auto fits = check_bytes(text.size(), "prompt"); !fits) return fits.error();
    std::vector<model::PromptPart> parts;
    parts.push_back({-1, text, {.add_special = request.add_special_tokens, .parse_special = true}});
    return parts;
  }

  Result<void> check_ids(const std::vector<TokenId>& ids) const {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (assets().tokenizer->valid(ids[i])) continue;
      return Error{ErrorCode::invalid_request,
                   "token id " + std::to_string(ids[i]) + " at place " + std::to_string(i) + " is outside of 0 … " +
                       std::to_string(assets().tokenizer->vocab_size() - 1),
                   "prompt"};
    }
    return {};
  }

  Error too_long(const std::string& why, const char* param = "prompt") const {
    return context_exceeded(assets().max_sequence_tokens, why, param);
  }

  /// Refuses what is too long before any work is spent on it.
  Result<void> check_bytes(std::size_t bytes, const char* param) const {
    const auto limit = static_cast<std::size_t>(context().stage.integer("max_prompt_bytes"));
    if (bytes <= limit) return {};
    return too_long("the prompt has " + std::to_string(bytes) + " bytes; the limit is " + std::to_string(limit) +
                        " (max_prompt_bytes of the tokenizer)",
                    param);
  }

  /// Tokens that a prompt may have.
  std::size_t room(const SamplingParams& params) const {
    const std::size_t answer = params.max_tokens == 0U ? 0 : 1;
    return assets().max_sequence_tokens - std::min<std::size_t>(answer, assets().max_sequence_tokens);
  }

  Result<void> check_length(std::size_t tokens, const SamplingParams& params) const {
    if (tokens <= room(params)) return {};
    return too_long("the prompt has " + std::to_string(tokens) +
                    " tokens or more, and prompt and answer must fit; the limit follows from the model's context, "
                    "session_len and cache_size_limit");
  }

  void reject(const schedule::AdmittedRequest& request, const Error& error) {
    TokenEvent event;
    event.id = request.id;
    event.kind = TokenEvent::Kind::failed;
    event.error = error;
    send(frontend(), TokenBatch{epoch(), request.connection, {std::move(event)}});
  }

  std::deque<Work> long_;  ///< in turns
  bool going_on_ = false;  ///< an EncodeMore is under way
};

}  // namespace

caf::actor spawn_tokenizer(caf::actor_system& system, const StageContext& context) {
  return system.spawn<TokenizerStage>(context);
}

}  // namespace headwater::actors
