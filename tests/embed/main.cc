// Embeds Headwater: starts a topology without a gateway, streams one answer, stops.
// Usage: embed MODEL.gguf

#include <headwater/runtime.h>

#include <cstdio>
#include <future>

namespace {

constexpr const char* kTopology = R"(
name: embedded
cache: { cache_size_limit: 256MiB }
stages:
  - { id: tok,   kind: tokenizer,      to: [match] }
  - { id: match, kind: prefix_matcher, to: [sched] }
  - { id: sched, kind: scheduler,      to: [exec] }
  - { id: exec,  kind: executor,       to: [detok], feedback: [sched] }
  - { id: evict, kind: cache_evictor,  feedback: [sched, match] }
  - { id: detok, kind: detokenizer,    to: [gateway] }
)";

int fail(const headwater::Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  headwater::Overrides overrides;
  overrides.model = argc > 1 ? argv[1] : "models/default.gguf";
  const auto runtime = headwater::Runtime::start(kTopology, "embedded topology", overrides);
  if (!runtime) return fail(runtime.error());

  std::promise<headwater::TokenEvent> ended;
  const auto client = (*runtime)->connect([&](std::span<const headwater::TokenEvent> events) {
    for (const auto& event : events) {
      std::fputs(event.text.c_str(), stdout);
      std::fflush(stdout);
      if (event.terminal()) ended.set_value(event);
    }
  });

  headwater::Request request;
  request.prompt = std::vector<headwater::ChatMessage>{{"user", "What is the capital of France?"}};
  request.params.temperature = 0;
  request.params.max_tokens = 32;
  const auto ticket = client->submit(std::move(request));
  if (!ticket) return fail(ticket.error());

  const headwater::TokenEvent end = ended.get_future().get();
  if (end.kind != headwater::TokenEvent::Kind::finished) return fail(end.error);
  std::printf("\n[%u tokens]\n", end.usage.completion_tokens);
  return (*runtime)->drain(std::chrono::seconds(5)) ? 0 : 1;
}
