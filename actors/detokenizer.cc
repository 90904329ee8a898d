// Step results → what clients are told (schedule::AnswerStreams), one message a connection and step.

#include "actors/stage.h"
#include "base/trace.h"
#include "schedule/answer_stream.h"

namespace headwater::actors {
namespace {

class Detokenizer : public StageActor {
 public:
  Detokenizer(caf::actor_config& config, const StageContext& context)
      : StageActor(config, context), answers_(*assets().tokenizer, [this](RequestId id) {
          return id % this->context().stage.replicas == this->context().replica;
        }) {}

 private:
  caf::message_handler handlers() override {
    return {
        on<const StepDone>([this](const StepDone& done) {
          const trace::Span span("detokenize", done.result.entries.size());
          for (auto& batch : answers_.on_result(done.result)) {
            send(frontend(), TokenBatch{epoch(), batch.connection, std::move(batch.events)});
          }
        }),
    };
  }

  void on_reset() override { answers_.reset(); }

  schedule::AnswerStreams answers_;
};

}  // namespace

caf::actor spawn_detokenizer(caf::actor_system& system, const StageContext& context) {
  return system.spawn<Detokenizer>(context);
}

}  // namespace headwater::actors
