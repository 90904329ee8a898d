#pragma once
// Asio and Beast under the names that the gateway uses.

#include <exception>
#include <string>
#include <utility>  // co_spawn.hpp needs it first

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>

namespace headwater::gateway {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;

template <class T>
using Awaitable = net::awaitable<T>;
using Executor = net::any_io_executor;
using IoError = boost::system::error_code;

/// Completion token: awaits, and puts the failure into `error` instead of throwing it.
inline auto into(IoError& error) { return net::redirect_error(net::use_awaitable, error); }

/// What an exception says, or that it says nothing.
std::string describe(const std::exception_ptr& failure) noexcept;

/// Completion handler of a connection's coroutines: an exception ends the connection, and is logged.
void log_failure(const std::exception_ptr& failure) noexcept;

/// Runs handlers until `context` has nothing more to do. One from which an exception comes is logged; the thread
/// goes on with the others.
void run_all(net::io_context& context) noexcept;

}  // namespace headwater::gateway
