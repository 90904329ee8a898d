#include "gateway/throughput_log.h"

#include <gtest/gtest.h>

#include "tests/gateway/captured_log.h"
#include "tests/gateway/live_server.h"

namespace headwater::gateway {
namespace {

TEST(ThroughputLine, TellsWhatWasServedBetweenTwoPictures) {
  Stats before, now;
  before.prompt_tokens = 100, now.prompt_tokens = 300;
  before.generation_tokens = 50, now.generation_tokens = 90;
  before.prefix_query_tokens = 100, now.prefix_query_tokens = 300;
  before.prefix_hit_tokens = 10, now.prefix_hit_tokens = 60;
  now.running = 3, now.queued = 2;
  now.blocks_active = 30, now.blocks_total = 120;
  const auto line = throughput_line(before, now, 10);
  ASSERT_TRUE(line);
  EXPECT_EQ(line->text(),
            "throughput prompt_tokens_per_s=20.0 generation_tokens_per_s=4.0 running=3 queued=2 "
            "kv_in_use_percent=25.0 prefix_hit_percent=25.0");
}

TEST(ThroughputLine, IsLeftOutWhileNothingIsServed) {
  Stats quiet;
  quiet.prompt_tokens = quiet.generation_tokens = 1000;
  EXPECT_FALSE(throughput_line(quiet, quiet, 10));
  Stats waiting = quiet;
  waiting.in_flight = 1;
  EXPECT_TRUE(throughput_line(quiet, waiting, 10));
}

TEST(ThroughputLine, TakesACounterThatFellForAStageThatWasStartedAnew) {
  Stats before, now;
  before.generation_tokens = 1000;
  now.generation_tokens = 10, now.prompt_tokens = 5;
  const auto line = throughput_line(before, now, 1);
  ASSERT_TRUE(line);
  EXPECT_NE(line->text().find("generation_tokens_per_s=0.0"), std::string::npos);
}

TEST(ThroughputLog, WritesALineWhileRequestsRunAndLooksAfterOthers) {
  const test::CapturedLog log;
  test::FakeRuntime runtime;
  runtime.hold();
  std::atomic<int> looks{0};
  const auto client = runtime.connect([](auto) {});
  Request request;
  request.prompt = std::string("x");
  ASSERT_TRUE(client->submit(std::move(request)));
  {
    const ThroughputLog throughput(
        runtime, [&] { ++looks; }, std::chrono::milliseconds(2));
    EXPECT_FALSE(log.wait_for("throughput").empty());
  }
  EXPECT_GT(looks, 0);
}

}  // namespace
}  // namespace headwater::gateway
