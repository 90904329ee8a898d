// Text or a conversation → token ids, and the request's length held against what can be served.

#include "model/tokenizer.h"

#include "actors/failure.h"
#include "actors/stage.h"
#include "headwater/context_limit.h"

namespace headwater::actors {
namespace {

class TokenizerStage : public StageActor {
 public:
  using StageActor::StageActor;

 private:
  caf::message_handler handlers() override {
    return {
        on<const GenerateRequest>([this](const GenerateRequest& message) {
          try {
            admit(*message.request);
          } catch (const std::bad_alloc&) {  // costs this request, not the stage and all that it has
            reject(*message.request, failure_of(std::current_exception(), "the tokenizer"));
          }
        }),
    };
  }

  void admit(const schedule::AdmittedRequest& untokenized) {
    Result<std::vector<TokenId>> ids = prompt_ids(untokenized.request);
    if (ids && ids->empty())
      ids = Error{ErrorCode::invalid_request, "the prompt is empty; send at least one token", "prompt"};
    if (ids) {
      if (auto fits = check_length(ids->size(), untokenized.request.params); !fits) ids = fits.error();
    }
    if (!ids) {
      reject(untokenized, ids.error());
      return;
    }

    auto request = std::make_shared<schedule::AdmittedRequest>(untokenized);
    request->prompt = std::move(ids).value();
    const auto room = assets().max_sequence_tokens - static_cast<std::uint32_t>(request->prompt.size());
    request->max_new_tokens = std::min(request->request.params.max_tokens.value_or(room), room);
    const RequestId id = request->id;
    send(frontend(), RequestTokenized{id, static_cast<std::uint32_t>(request->prompt.size())});
    send(successor(id), TokenizedRequest{epoch(), std::move(request)});
  }

  Result<std::vector<TokenId>> prompt_ids(const Request& request) const {
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&request.prompt)) return check_ids(*ids);
    if (const auto* messages = std::get_if<std::vector<ChatMessage>>(&request.prompt)) {
      if (assets().chat_template == nullptr) {
        return Error{ErrorCode::invalid_request,
                     "the model has no chat template; send `prompt`, or start with model.chat_template set",
                     "messages"};
      }
      std::size_t bytes = 0;
      for (const ChatMessage& message : *messages) bytes += message.content.size();
      if (auto fits = check_bytes(bytes, "messages"); !fits) return fits.error();
      return assets().chat_template->encode(*assets().tokenizer, *messages);
    }
    const std::string& text = std::get<std::string>(request.prompt);
    if (auto fits = check_bytes(text.size(), "prompt"); !fits) return fits.error();
    return assets().tokenizer->encode(text, {.add_special = request.add_special_tokens, .parse_special = true});
  }

  Result<std::vector<TokenId>> check_ids(const std::vector<TokenId>& ids) const {
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (assets().tokenizer->valid(ids[i])) continue;
      return Error{ErrorCode::invalid_request,
                   "token id " + std::to_string(ids[i]) + " at place " + std::to_string(i) + " is outside of 0 … " +
                       std::to_string(assets().tokenizer->vocab_size() - 1),
                   "prompt"};
    }
    return ids;
  }

  /// Refuses what is too long before any work is spent on it.
  Result<void> check_bytes(std::size_t bytes, const char* param) const {
    const auto limit = static_cast<std::size_t>(context().stage.integer("max_prompt_bytes"));
    if (bytes <= limit) return {};
    return context_exceeded(assets().max_sequence_tokens,
                            "the prompt has " + std::to_string(bytes) + " bytes; the limit is " +
                                std::to_string(limit) + " (max_prompt_bytes of the tokenizer)",
                            param);
  }

  Result<void> check_length(std::size_t tokens, const SamplingParams& params) const {
    const std::size_t answer = params.max_tokens == 0U ? 0 : 1;
    const std::size_t limit = assets().max_sequence_tokens;
    if (tokens + answer <= limit) return {};
    return context_exceeded(
        limit,
        "the prompt has " + std::to_string(tokens) +
            " tokens, and prompt and answer must fit; the limit follows from the model's context, session_len and "
            "cache_size_limit",
        "prompt");
  }

  void reject(const schedule::AdmittedRequest& request, const Error& error) {
    TokenEvent event;
    event.id = request.id;
    event.kind = TokenEvent::Kind::failed;
    event.error = error;
    send(frontend(), TokenBatch{epoch(), request.connection, {std::move(event)}});
  }
};

}  // namespace

caf::actor spawn_tokenizer(caf::actor_system& system, const StageContext& context) {
  return system.spawn<TokenizerStage>(context);
}

}  // namespace headwater::actors
