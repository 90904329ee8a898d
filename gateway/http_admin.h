#pragma once
// What an operator asks of the running server, under /admin. The caller has shown the admin key.

#include "gateway/http_reply.h"
#include "gateway/http_routes.h"
#include "gateway/hub.h"

namespace headwater::gateway {

/// Waits for stages: not for a thread that serves sockets.
/// REQUIRES: route.access is Access::admin.
HttpResponse answer_admin(Hub& hub, const Route& route, std::string_view body);

}  // namespace headwater::gateway
