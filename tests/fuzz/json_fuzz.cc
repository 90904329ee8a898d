// JSON that asks for something, in each of the dialects: a call, or an error with a code and a sentence.

#include <cstdlib>
#include <string_view>

#include "gateway/http_endpoints.h"
#include "gateway/native_dialect.h"
#include "gateway/openai_chat.h"
#include "gateway/openai_completions.h"
#include "gateway/shared_fields.h"
#include "tests/gateway/fake_runtime.h"

using namespace headwater;
using namespace headwater::gateway;

namespace {

void must_tell(const Error& error) {
  if (error.message.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static test::FakeRuntime runtime;
  static const ModelInfo model = runtime.model();
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 5 == 0) {
    const ClientFrame frame = parse_frame(text, model);
    if (const auto* bad = std::get_if<BadFrame>(&frame)) must_tell(bad->error);
    return 0;
  }
  const auto body = parse_request(text, model);
  if (!body) return must_tell(body.error()), 0;
  if (!parse_request(to_text(*body), model)) std::abort();  // what we write, we read
  const auto check = [](const auto& call) {
    if (!call) must_tell(call.error());
  };
  switch (data[0] % 5) {
    case 1:
      check(parse_chat(*body, model));
      break;
    case 2:
      check(parse_completion(*body, model));
      break;
    case 3:
      if (body->is_object()) check(tokenize(runtime, model, *body));
      break;
    default:
      if (body->is_object()) check(detokenize(runtime, model, *body));
  }
  return 0;
}
