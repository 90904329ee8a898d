#pragma once
// The endpoints that answer at once: models, tokenization, health and metrics.

#include "gateway/http_reply.h"
#include "gateway/http_routes.h"
#include "gateway/hub.h"

namespace headwater::gateway {

/// May tokenize a whole body or wait for stages: not for a thread that serves sockets.
/// REQUIRES: the endpoint is none of chat, completions, stream, unknown and those of an admin.
HttpResponse answer_at_once(Hub& hub, const Route& route, const std::string& tenant, std::string_view body);

/// POST /tokenize and /detokenize.
/// `ignored`: gets the unknown fields; null: they are refused.
/// `text`: what the body was read from, for the order of keys; empty: it is not known.
Result<Json> tokenize(const Runtime& runtime, const ModelInfo& model, const Json& body,
                      IgnoredFields* ignored = nullptr, std::string_view text = {});
Result<Json> detokenize(const Runtime& runtime, const ModelInfo& model, const Json& body,
                        IgnoredFields* ignored = nullptr);

}  // namespace headwater::gateway
