// headwater serve

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "gateway/api_keys.h"
#include "gateway/log_line.h"
#include "gateway/origins.h"
#include "gateway/server.h"
#include "headwater/runtime.h"
#include "kernels/memory_reserve.h"
#include "kernels/processor.h"
#include "model/sampling_defaults.h"
#include "tools/headwater/command.h"
#include "tools/headwater/keys.h"
#include "tools/headwater/model_path.h"
#include "tools/headwater/topology_file.h"
#include "topology/document.h"
#include "topology/topology.h"
#include "topology/values.h"

namespace headwater::tools {
namespace {

struct Options {
  std::string topology = "topologies/single.yaml";
  Overrides overrides;
  bool no_prefix_caching = false;
  std::uint32_t drain_timeout = 30;  // seconds
  std::string log_level = "info";
  std::string log_format = "text";
  std::vector<std::string> api_keys;
  bool strict_fields = false;
  std::vector<std::string> api_key_files;
  std::string admin_key;
  std::string admin_key_file;
  std::vector<std::string> allow_hosts;
  std::vector<std::string> allow_origins;
  std::string max_buffered;
};

/// From arm() on the first SIGINT or SIGTERM ends wait(); one before that, or a second one, ends the process at once.
/// SIGHUP, which a terminal sends as it closes, ends nothing.
class StopSignal {
 public:
  StopSignal() {
    event_ = eventfd(0, EFD_CLOEXEC);
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    action.sa_handler = on_hangup;
    sigaction(SIGHUP, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
  }

  void arm() { armed_ = 1; }

  void wait() {
    while (armed_ != 0) {
      std::uint64_t count = 0;
      if (read(event_, &count, sizeof count) < 0 && errno != EINTR) return;
      if (std::exchange(hung_up_, 0) != 0) spdlog::warn("SIGHUP: nothing is read anew; SIGTERM ends the server");
    }
  }

 private:
  static void on_signal(int signal) {
    if (armed_ == 0) _exit(128 + signal);
    armed_ = 0;
    wake();
  }
  static void on_hangup(int) {
    hung_up_ = 1;
    wake();
  }
  static void wake() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(event_, &one, sizeof one);
  }

  static inline int event_ = -1;
  static inline volatile std::sig_atomic_t armed_ = 0;
  static inline volatile std::sig_atomic_t hung_up_ = 0;
};

/// For what goes on while memory is short.
constexpr std::size_t kReserve = std::size_t{16} << 20U;

/// Where a client on this machine reaches the server.
std::string url(const std::string& host, std::uint16_t port) {
  std::string reachable = host;
  if (host == "0.0.0.0") reachable = "127.0.0.1";
  if (host == "::") reachable = "::1";
  if (reachable.find(':') != std::string::npos) reachable = "[" + reachable + "]";
  return "http://" + reachable + ":" + std::to_string(port);
}

/// A request that a person can paste into a shell.
std::string curl_line(const std::string& base, const ModelInfo& model, bool needs_key) {
  nlohmann::ordered_json body{{"model", model.name}};
  if (model.chat_template.empty()) {
    body["prompt"] = "Once upon a time";
    body["max_tokens"] = 64;
  } else {
    body["messages"] = {{{"role", "user"}, {"content", "Hello!"}}};
  }
  std::string text = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  for (std::size_t at = 0; (at = text.find('\'', at)) != std::string::npos; at += 4) text.replace(at, 1, "'\\''");
  return "curl " + base + (model.chat_template.empty() ? "/v1/completions" : "/v1/chat/completions") +
         " -H 'content-type: application/json'" +
         (needs_key ? " -H \"authorization: Bearer $HEADWATER_API_KEY\"" : "") + " -d '" + text + "'";
}

/// What the KV cache holds.
std::string cache_line(const ModelInfo& model) {
  const bool plain = model.quant_policy == "0";
  const std::string window =
      model.kv_window == 0 ? "" : fmt::format("; layers with a window keep the last {} of a sequence", model.kv_window);
  return fmt::format(
      "KV cache: {} tokens of {} bytes, {}{}", model.kv_tokens, model.kv_bytes_per_token,
      plain ? "in 16 bits"
            : fmt::format("quant_policy {}, {:.2f} times as many as in 16 bits", model.quant_policy, model.kv_factor),
      window);
}

gateway::ServerOptions server_options(const topology::GatewaySpec& spec, const Options& options) {
  gateway::ServerOptions server;
  server.host = spec.host;
  server.port = spec.port;
  server.max_connections = spec.max_connections;
  server.max_body_bytes = spec.max_body_bytes;
  server.max_sessions = spec.max_sessions;
  server.max_session_bytes = spec.max_session_bytes;
  server.session_ttl = std::chrono::milliseconds(spec.session_ttl_ms);
  server.max_answer_bytes = spec.max_answer_bytes;
  server.strict_fields = spec.strict_fields || options.strict_fields;
  server.api_keys = options.api_keys;
  server.allow_hosts = options.allow_hosts.empty() ? spec.allow_hosts : options.allow_hosts;
  server.allow_origins = options.allow_origins.empty() ? spec.allow_origins : options.allow_origins;
  server.max_buffered_bytes = spec.max_buffered;
  if (const auto size = topology::parse_size(options.max_buffered)) server.max_buffered_bytes = *size;
  if (!options.admin_key.empty()) server.admin_keys = {options.admin_key};
  return server;
}

void warn_if_open(const topology::GatewaySpec& spec, const Options& options) {
  const bool local = spec.host.starts_with("127.") || spec.host == "::1" || spec.host == "localhost";
  if (!local && options.api_keys.empty()) {
    spdlog::warn("anyone who reaches {}:{} may use this server; --api-key asks for a key", spec.host, spec.port);
  }
}

/// Serves until a signal, then lets what runs end.
int serve_until_stopped(Runtime& runtime, const topology::GatewaySpec& spec, const Options& options,
                        StopSignal& signal) {
  auto server = gateway::Server::start(runtime, server_options(spec, options));
  if (!server) return fail(server.error().message);
  signal.arm();  // before anybody is told that there is a server to be ended
  const std::string base = url(spec.host, (*server)->port());
  const ModelInfo model = runtime.model();
  spdlog::info("{}", cache_line(model));
  spdlog::info("where a request names none: {}", model::describe_defaults(model.sampling));
  print(model.name + " is ready at " + base + "\n\n" + curl_line(base, model, !options.api_keys.empty()) + "\n\n");

  signal.wait();
  spdlog::info("stopping: waiting up to {} s for what runs; a second signal ends at once", options.drain_timeout);
  (*server)->stop_accepting();
  if (!runtime.drain(std::chrono::seconds(options.drain_timeout))) {
    spdlog::warn("after {} s some requests still ran; they were cancelled", options.drain_timeout);
  }
  (*server)->stop();
  return 0;
}

/// The key in --admin-key-file, without the end of its line.
Result<std::string> read_admin_key(const std::string& path) {
  constexpr std::size_t kMostBytes = 4096;
  auto text = read_file(path, kMostBytes);
  if (!text) return text;
  const std::string key = text->substr(0, text->find_last_not_of(" \t\r\n") + 1);
  if (key.empty() || key.find_first_of("\r\n") != std::string::npos) {
    return Error{ErrorCode::invalid_admin_key, path + " holds no admin key: one line that is not empty", ""};
  }
  return key;
}

int serve(Options& options) {
  spdlog::set_level(spdlog::level::from_str(options.log_level));
  gateway::set_log_format(options.log_format == "json" ? gateway::LogFormat::json : gateway::LogFormat::text);
  StopSignal signal;
  kernels::keep_memory_reserve(kReserve);
  if (!options.admin_key_file.empty()) {
    const auto key = read_admin_key(options.admin_key_file);
    if (!key) return fail("--admin-key-file: " + key.error().message);
    options.admin_key = *key;
  }
  for (const std::string& path : options.api_key_files) {
    const auto keys = read_keys(path);
    if (!keys) return fail("--api-key-file: " + keys.error().message);
    options.api_keys.insert(options.api_keys.end(), keys->begin(), keys->end());
  }
  const auto found = find_topology(options.topology);
  if (!found) return fail(found.error().message + "; name a topology file: headwater serve FILE");
  options.topology = *found;
  const auto yaml = read_file(options.topology, topology::kMaxFileBytes);
  if (!yaml) return fail(yaml.error().message + "; name a topology file: headwater serve FILE");
  const auto checked = topology::parse(*yaml, options.topology, topology::builtin_catalog(), options.overrides);
  if (!checked.topology) return refuse(checked, options.topology, "the topology has mistakes\n");
  const topology::GatewaySpec& spec = checked.topology->gateway;
  if (!spec.present) {
    return fail(options.topology +
                " has no gateway section, so there is nothing to serve on; add gateway: { listen: "
                "127.0.0.1:8080, to: [tok] }");
  }
  if (const auto wrong = gateway::check_origins(spec.allow_origins)) {
    return fail(options.topology + ": gateway: allow_origins: " + *wrong);
  }
  warn_if_open(spec, options);
  for (const std::string& tenant : gateway::ApiKeys(options.api_keys).tenants()) {
    options.overrides.warmup_tenants.push_back(tenant);
  }
  if (auto there = check_model_path(checked.topology->model.path); !there) return fail(there.error().message);
  spdlog::info("computing for a processor of kind {}; headwater model info --kernels says by what",
               kernels::processor_report().processor());
  spdlog::info("loading {}", checked.topology->model.path);
  auto runtime = Runtime::start(*yaml, options.topology, options.overrides);
  if (!runtime) return fail(runtime.error().message);
  return serve_until_stopped(**runtime, spec, options, signal);
}

void add_overrides(CLI::App& command, Options& options) {
  Overrides& given = options.overrides;
  add_model_file(command, given.model);
  add_chat_template(command, given.chat_template);
  add_pre_tokenizer(command, given.pre_tokenizer);
  command.add_option("-l,--listen", given.listen, "host:port; port 0 takes any free one");
  add_quant_policy(command, given.quant_policy);
  command.add_option("--cache-size-limit", given.cache_size_limit, "cache: a size (2GiB) or a share of memory (0.6)");
  command.add_option("--max-batch-size", given.max_batch_size, "most sequences in one step");
  command.add_option("--prefill-chunk", given.prefill_chunk, "most prompt tokens of one sequence in a step");
  add_threads(command, given.threads);
  add_precision(command, given.precision);
  command.add_option("--session-len", given.session_len, "most tokens of one sequence, prompt and answer");
  command.add_option("--max-queued", given.max_queued, "most requests accepted and not ended");
  command.add_option("--draft-tokens", given.draft_tokens,
                     "most tokens guessed from a sequence's own text and checked in one step; 0: none");
  command.add_option("--max-wait", given.max_wait,
                     "longest that a request may be expected to wait before it is refused (2s); 0: any time");
  command.add_option("--prefix-match-threshold", given.prefix_match_threshold,
                     "share of a cached block's tokens that a prompt must agree with to reuse them; 0: any");
  command.add_option("--cache-ttl", given.cache_ttl,
                     "time since the last use after which what is cached expires (300s)");
  command.add_option("--tenant-quota", given.tenant_quota,
                     "share of the cache that one tenant's idle blocks may hold before they go first");
  command.add_option("--max-pinned", given.max_pinned, "share of the cache that may be pinned; 0: nobody may pin");
  command.add_option("--cache-dir", given.cache_dir, "folder for what the cache gives up; a restart finds it there");
  command.add_option("--cache-dir-size", given.cache_dir_size, "what that may take on the disk (default 10GiB)");
  command.add_flag("--no-prefix-caching", options.no_prefix_caching, "compute every prompt from its beginning");
}

}  // namespace

void add_serve(CLI::App& app, Action& action) {
  auto* command = app.add_subcommand("serve", "Serve a model over HTTP and WebSocket");
  auto options = std::make_shared<Options>();
  command->add_option("TOPOLOGY", options->topology, "topology file, or the name of one that ships")
      ->capture_default_str();
  add_overrides(*command, *options);
  command->add_option("--api-key", options->api_keys, "a key that clients must send; may be given several times")
      ->take_all()
      ->allow_extra_args(false)
      ->envname("HEADWATER_API_KEY");
  command
      ->add_option("--api-key-file", options->api_key_files,
                   "a file of such keys, one a line, that the process list does not show")
      ->take_all()
      ->allow_extra_args(false)
      ->envname("HEADWATER_API_KEY_FILE");
  auto* admin_key =
      command->add_option("--admin-key", options->admin_key, "the key to /admin, which is not there without one")
          ->envname("HEADWATER_ADMIN_KEY");
  command->add_option("--admin-key-file", options->admin_key_file, "a file that holds the key to /admin")
      ->excludes(admin_key);
  command->add_flag("--strict-fields", options->strict_fields, "refuse unknown fields of requests, not ignore them");
  command
      ->add_option(
          "--allow-origin", options->allow_origins,
          "a web page that may use the server, as in https://app.example; * for any; may be given several times")
      ->take_all()
      ->allow_extra_args(false);
  command
      ->add_option("--allow-host", options->allow_hosts,
                   "a name that the server goes by, beside localhost; * for any; may be given several times")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--max-buffered", options->max_buffered,
                      "most memory for requests being read and answers not taken, as in 512MiB; 0: an eighth of all");
  command->add_option("--drain-timeout", options->drain_timeout, "seconds that running requests get after SIGTERM")
      ->check(CLI::Range(0, 86400))
      ->capture_default_str();
  add_trace(*command);
  command
      ->add_option("--log-level", options->log_level,
                   "info: a line for each request at its end, and for each ten busy seconds")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
  command->add_option("--log-format", options->log_format, "text, or json: an object a line")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command->footer(
      "Options replace what the topology file says. SIGTERM or Ctrl-C lets running requests end.\n"
      "Example: headwater serve --model models/default.gguf --listen 127.0.0.1:8080");
  command->callback([options, admin_key, &action] {
    if (admin_key->count() > 0 && options->admin_key.empty()) {
      throw CLI::ValidationError("--admin-key", "a key must not be empty");
    }
    for (const std::string& key : options->api_keys) {
      if (key.empty()) throw CLI::ValidationError("--api-key", "a key must not be empty");
    }
    if (const auto wrong = gateway::check_origins(options->allow_origins)) {
      throw CLI::ValidationError("--allow-origin", *wrong);
    }
    if (const auto size = topology::parse_size(options->max_buffered); !size && !options->max_buffered.empty()) {
      throw CLI::ValidationError("--max-buffered", size.error().message);
    }
    if (options->no_prefix_caching) options->overrides.enable_prefix_caching = false;
    action = [options] { return serve(*options); };
  });
}

}  // namespace headwater::tools
