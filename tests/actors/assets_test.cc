#include "actors/assets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "headwater/runtime.h"
#include "tests/support/chain_topology.h"
#include "tests/support/events.h"
#include "tests/support/tiny_gguf.h"
#include "topology/topology.h"

namespace headwater::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint32_t kContext = 512;

/// What is logged while it lives.
class Log {
 public:
  Log() {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(text_);
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("assets", std::move(sink)));
  }
  ~Log() { spdlog::set_default_logger(before_); }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  /// The lines that hold `part`. REQUIRES: nothing is being logged.
  std::vector<std::string> lines(const std::string& part) const {
    std::istringstream text(text_.str());
    std::vector<std::string> found;
    for (std::string line; std::getline(text, line);) {
      if (line.find(part) != std::string::npos) found.push_back(line);
    }
    return found;
  }

 private:
  std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
  std::ostringstream text_;
};

/// What is loaded of a model file with these bytes, and what is logged meanwhile.
struct Loaded {
  explicit Loaded(const GgufWriter& writer, std::uint32_t session_len = 0, const std::string& size = "1MiB",
                  const std::optional<std::string>& precision = {}) {
    const TemporaryFile file(writer.bytes());
    Overrides overrides;
    overrides.model = file.path();
    overrides.session_len = session_len;
    overrides.threads = 1;
    overrides.precision = precision;
    const auto parsed = topology::parse(chain_topology("cache_size_limit: " + size, 2), "assets.yaml",
                                        topology::builtin_catalog(), overrides);
    EXPECT_TRUE(parsed.topology) << parsed.report("assets.yaml");
    const auto loaded = actors::load_assets(*parsed.topology);
    EXPECT_TRUE(loaded) << loaded.error().message;
    if (loaded) assets = *loaded;
  }
  Log log;
  std::shared_ptr<const actors::Assets> assets;
};

TEST(Assets, ComputeWithThePrecisionThatIsAskedFor) {
  for (const std::string& precision : {std::string("balanced"), std::string("exact")}) {
    const Loaded loaded(tiny_llama({}), 0, "1MiB", precision);
    EXPECT_THAT(loaded.assets->compute, HasSubstr(" " + precision + " "));
  }
  EXPECT_EQ(Loaded(tiny_llama({})).assets->compute, Loaded(tiny_llama({}), 0, "1MiB", "fast").assets->compute);
}

TEST(Assets, WarnWhereTheSessionLengthIsCutToTheModelsContext) {
  const Loaded cut(tiny_llama({.context = kContext}), 100'000);
  ASSERT_NE(cut.assets, nullptr);
  EXPECT_EQ(cut.assets->max_sequence_tokens, kContext);
  EXPECT_THAT(cut.log.lines("session_len"),
              ElementsAre(AllOf(HasSubstr("session_len is 100000"), HasSubstr("end at 512 tokens"),
                                HasSubstr("that is the model's context"))));
  const Loaded fits(tiny_llama({.context = kContext}), kContext);
  EXPECT_EQ(fits.assets->max_sequence_tokens, kContext);
  EXPECT_THAT(fits.log.lines("session_len"), IsEmpty());
}

TEST(Assets, WarnWhereTheSessionLengthIsCutToWhatTheCacheHolds) {
  const Loaded cut(tiny_llama({.context = 100'000}), 100'000);
  ASSERT_NE(cut.assets, nullptr);
  EXPECT_LT(cut.assets->max_sequence_tokens, 100'000U);
  EXPECT_THAT(cut.log.lines("session_len"), ElementsAre(HasSubstr("raise cache_size_limit")));
}

TEST(Assets, CutThePoolOfAModelWithWindowsIntoMoreThanHaveRoomForAllTheirRows) {
  const auto tokens_of = [](std::uint32_t window) {
    const Loaded loaded(tiny_llama({.layers = 8, .context = 100'000, .architecture = "gemma3", .window = window}), 0,
                        "8MiB");
    const actors::Assets& assets = *loaded.assets;
    EXPECT_EQ(assets.info.kv_window, window);
    EXPECT_EQ(assets.window.full_bytes, assets.window.window_bytes);  // every second layer has one
    EXPECT_EQ(assets.info.kv_tokens, std::uint64_t{assets.total_blocks} * assets.grid.tokens);
    EXPECT_LE(assets.info.kv_tokens * assets.info.kv_bytes_per_token, 8U << 20U);
    return assets.info.kv_tokens;
  };
  const Loaded whole(tiny_llama({.layers = 8, .context = 100'000}), 0, "8MiB");
  // 8 MiB less the window rows of 24 tokens and two steps, in half of the layers.
  EXPECT_GT(tokens_of(24), whole.assets->info.kv_tokens * 17 / 10);
  EXPECT_EQ(tokens_of(16384), whole.assets->info.kv_tokens);
}

TEST(Assets, CountTheTokensThatTheFirstBlockOfASequenceLacks) {
  const auto sized = [](bool first_in_8_bits) {
    auto parsed = topology::parse(chain_topology("cache_size_limit: 10MiB", 2), "assets.yaml",
                                  topology::builtin_catalog(), Overrides{});
    if (!parsed.topology) throw std::runtime_error(parsed.report("assets.yaml"));
    parsed.topology->cache.format.key_bits = parsed.topology->cache.format.value_bits = 4;
    parsed.topology->cache.format.first_in_8_bits = first_in_8_bits;
    model::ModelShape shape;
    shape.context_length = 100'000;
    actors::Assets assets;
    EXPECT_TRUE(actors::size_cache(*parsed.topology, {1 << 20, 0}, shape, 1 << 30, assets));
    return assets;
  };
  const actors::Assets plain = sized(false), halved = sized(true);
  EXPECT_EQ(plain.grid, kernels::BlockGrid(32));
  EXPECT_EQ(plain.info.kv_tokens, 320U);
  EXPECT_EQ(halved.grid, kernels::BlockGrid(32, 16));
  EXPECT_EQ(halved.total_blocks, 10U);
  EXPECT_EQ(halved.info.kv_tokens, 304U);
  EXPECT_EQ(halved.max_sequence_tokens + 16, plain.max_sequence_tokens);
  EXPECT_EQ(halved.info.kv_bytes_per_token, 1U << 15U);
}

TEST(Assets, SayHowTheModelsFileWantsTokensToBeChosen) {
  GgufWriter writer = tiny_llama({});
  writer.add_f32("general.sampling.temp", 0.25F).add_f32("general.sampling.top_p", 7);
  const Loaded loaded(writer);
  ASSERT_NE(loaded.assets, nullptr);
  EXPECT_EQ(loaded.assets->info.sampling.temperature, 0.25F);
  EXPECT_EQ(loaded.assets->info.sampling.top_p, 1);
  EXPECT_THAT(loaded.log.lines("general.sampling"), ElementsAre(HasSubstr("top_p is 7")));
}

TEST(Assets, OfAModelWithAnUnknownChatTemplateServeCompletionsAndRefuseChats) {
  const Log log;
  const TemporaryFile file(tiny_llama({.chat_template = "{% for %} is no template"}).bytes());
  Overrides overrides;
  overrides.model = file.path();
  overrides.threads = 1;
  auto runtime = Runtime::start(chain_topology("cache_size_limit: 1MiB", 2), "chain.yaml", overrides);
  ASSERT_TRUE(runtime) << runtime.error().message;
  EXPECT_THAT(log.lines("no chat is served"), ElementsAre(HasSubstr("--chat-template")));
  EventLog events;
  const auto client = (*runtime)->connect(events.handler());
  Request request;
  request.params.max_tokens = 3;
  request.params.ignore_eos = true;
  request.prompt = "the other";
  const Outcome completed = events.wait(client->submit(request)->id);
  EXPECT_EQ(completed.last().kind, TokenEvent::Kind::finished) << completed.last().error.message;
  request.prompt = std::vector<ChatMessage>{{"user", "hi"}};
  const Outcome refused = events.wait(client->submit(request)->id);
  ASSERT_EQ(refused.last().kind, TokenEvent::Kind::failed);
  EXPECT_EQ(refused.last().error.code, ErrorCode::invalid_request);
  EXPECT_THAT(refused.last().error.message, HasSubstr("--chat-template")) << "which is the way out";
}

}  // namespace
}  // namespace headwater::test
