#include "tools/cachesim/trace.h"

#include <algorithm>
#include <unordered_map>

#include "tools/eval/jsonl.h"

namespace headwater::cachesim {
namespace {

constexpr std::int64_t kMostMilliseconds = std::int64_t{100} * 366 * 24 * 3600 * 1000;
constexpr std::int64_t kMostTokens = 1 << 30;
constexpr std::size_t kMostBlocks = 1 << 20;  // of one request

/// Gives every block a number.
class Builder {
 public:
  Result<void> add(eval::Record& record) {
    const std::int64_t milliseconds = record.integer("timestamp", 0, kMostMilliseconds);
    record.integer("input_length", 0, kMostTokens);
    record.integer("output_length", 0, kMostTokens);
    const auto ids = record.integers("hash_ids", 0, INT64_MAX, kMostBlocks);
    if (milliseconds < last_) {
      record.fail("\"timestamp\" is " + std::to_string(milliseconds) + ", before the " + std::to_string(last_) +
                  " of an earlier line; sort the lines by it");
    }
    if (record.error()) return *record.error();
    last_ = milliseconds;
    TraceRequest request{std::max(milliseconds * 1'000'000, now_ + 1), {}};
    for (const std::int64_t id : ids) request.blocks.push_back(number(id));
    now_ = request.at;
    trace_.total_blocks += ids.size();
    trace_.requests.push_back(std::move(request));
    return {};
  }

  Trace finish() {
    trace_.distinct_blocks = static_cast<std::uint32_t>(numbers_.size());
    return std::move(trace_);
  }

 private:
  TokenId number(std::int64_t id) { return numbers_.emplace(id, static_cast<TokenId>(numbers_.size())).first->second; }

  Trace trace_;
  std::unordered_map<std::int64_t, TokenId> numbers_;
  std::int64_t last_ = 0;
  TimeNs now_ = 0;
};

}  // namespace

Result<Trace> parse_trace(std::string_view text, const std::string& name) {
  Builder builder;
  const auto read = eval::read_jsonl(text, name, [&](eval::Record& record) { return builder.add(record); });
  if (!read) return read.error();
  Trace trace = builder.finish();
  if (trace.total_blocks == 0) return Error{ErrorCode::empty_trace, name + ": no request with \"hash_ids\"", ""};
  return trace;
}

}  // namespace headwater::cachesim
