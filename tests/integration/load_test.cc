// 500 requests over HTTP and WebSocket, of which many clients leave at random moments: every accepted request ends
// once, no block leaks, and threads, sockets and memory return to where they were.

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "gateway/server.h"
#include "headwater/runtime.h"
#include "tests/support/tiny_gguf.h"

namespace headwater::test {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;

const char* const kTopology = R"(
name: load
model: { path: set by the test }
cache: { cache_size_limit: 1MiB, block_tokens: 8 }
stages:
  - { id: tok,   kind: tokenizer,      replicas: 2, to: [match] }
  - { id: match, kind: prefix_matcher, to: [sched] }
  - { id: sched, kind: scheduler,      args: { max_batch_size: 16, prefill_chunk: 32 }, to: [exec] }
  - { id: exec,  kind: executor,       to: [detok], feedback: [sched] }
  - { id: evict, kind: cache_evictor,  args: { policy: lru }, feedback: [sched, match] }
  - { id: detok, kind: detokenizer,    to: [gateway] }
gateway: { listen: 127.0.0.1:0, max_queued: 64, to: [tok] }
)";

std::size_t entries(const char* folder) {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++n;
  return n;
}

std::size_t resident_bytes() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> pages;
  return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

std::string prompt(std::mt19937& random) {
  std::string text = "A shared beginning of every prompt, long enough for some blocks. ";
  for (unsigned i = random() % 100; i > 0; --i) text += static_cast<char>('a' + random() % 26);
  return text;
}

/// A streamed completion; reads `chunks` pieces of the answer, then goes away.
void http_client(std::uint16_t port, std::mt19937& random, std::size_t chunks) {
  asio::io_context io;
  asio::ip::tcp::socket socket(io);
  socket.connect({asio::ip::make_address("127.0.0.1"), port});
  http::request<http::string_body> request{http::verb::post, "/v1/completions", 11};
  request.set(http::field::host, "localhost");
  request.set(http::field::content_type, "application/json");
  request.keep_alive(false);
  request.body() = R"({"prompt":")" + prompt(random) + R"(","max_tokens":)" + std::to_string(1 + random() % 60) +
                   R"(,"stream":true,"ignore_eos":true})";
  request.prepare_payload();
  http::write(socket, request);
  char buffer[256];
  boost::system::error_code ended;
  for (std::size_t i = 0; i < chunks && !ended; ++i) socket.read_some(asio::buffer(buffer), ended);
}

/// Several requests over one socket; some are cancelled, and the socket may close before they end.
void websocket_client(std::uint16_t port, std::mt19937& random, std::size_t requests, std::size_t frames) {
  asio::io_context io;
  websocket::stream<asio::ip::tcp::socket> socket(io);
  socket.next_layer().connect({asio::ip::make_address("127.0.0.1"), port});
  socket.handshake("localhost", "/v1/stream");
  for (std::size_t i = 0; i < requests; ++i) {
    const std::string id = std::to_string(i);
    socket.write(asio::buffer(R"({"type":"generate","id":")" + id + R"(","prompt":")" + prompt(random) +
                              R"(","params":{"max_tokens":40,"ignore_eos":true}})"));
    if (random() % 4 == 0) socket.write(asio::buffer(R"({"type":"cancel","id":")" + id + R"("})"));
  }
  beast::flat_buffer buffer;
  boost::system::error_code ended;
  for (std::size_t i = 0; i < frames && !ended; ++i) {
    socket.read(buffer, ended);
    buffer.clear();
  }
}

void load(std::uint16_t port, unsigned seed, int rounds) {
  std::mt19937 random(seed);
  for (int i = 0; i < rounds; ++i) {
    const std::size_t patience = random() % 3 == 0 ? 100000 : random() % 20;
    if (i % 5 == 0) {
      websocket_client(port, random, 6, patience % 200);
    } else {
      http_client(port, random, patience);
    }
  }
}

Stats idle(const Runtime& runtime) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  Stats stats = runtime.stats();
  while ((stats.in_flight > 0 || stats.blocks_active > 0) && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::yield();
    stats = runtime.stats();
  }
  return stats;
}

TEST(Load, LeavesNothingBehindAfter500RequestsWithRandomDisconnects) {
  const auto path = std::filesystem::temp_directory_path() / ("headwater_load_" + std::to_string(getpid()) + ".gguf");
  write_tiny_llama(path.string(), {});
  Overrides overrides;
  overrides.model = path.string();
  auto runtime = Runtime::start(kTopology, "load.yaml", overrides);
  std::filesystem::remove(path);
  ASSERT_TRUE(runtime.ok()) << runtime.error().message;
  gateway::ServerOptions options;
  options.port = 0;
  auto server = gateway::Server::start(**runtime, options);
  ASSERT_TRUE(server.ok()) << server.error().message;
  const std::uint16_t port = (*server)->port();

  load(port, 1, 20);  // warms allocators and thread pools
  idle(**runtime);
  const std::size_t threads = entries("/proc/self/task");
  const std::size_t descriptors = entries("/proc/self/fd");
  const std::size_t memory = resident_bytes();
  const std::uint64_t accepted_before = (*runtime)->stats().accepted;

  std::vector<std::thread> clients;
  for (unsigned c = 0; c < 10; ++c) clients.emplace_back(load, port, 100 + c, 30);
  for (auto& client : clients) client.join();

  const Stats stats = idle(**runtime);
  EXPECT_GE(stats.accepted - accepted_before, 400U);
  EXPECT_GE(stats.accepted - accepted_before + stats.rejected(), 500U);
  EXPECT_EQ(stats.accepted, stats.finished + stats.failed + stats.cancelled);
  EXPECT_EQ(stats.failed, 0U);
  EXPECT_GT(stats.cancelled, 0U);
  EXPECT_GT(stats.finished, 0U);
  EXPECT_EQ(stats.blocks_active, 0U);
  EXPECT_EQ(stats.blocks_free + stats.blocks_cached, stats.blocks_total);
  EXPECT_LE(entries("/proc/self/task"), threads);
  EXPECT_LE(entries("/proc/self/fd"), descriptors + 2);  // sockets that the kernel is about to close
  EXPECT_LE(resident_bytes(), memory + (32U << 20U));
}

}  // namespace
}  // namespace headwater::test
