// The `headwater` command: see `headwater --help`.

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <malloc.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <new>
#include <system_error>

#include "base/trace.h"
#include "kernels/processor.h"
#include "tools/headwater/command.h"
#include "tools/headwater/keys.h"
#include "tools/headwater/slips.h"

namespace headwater::tools {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  headwater serve                              serve models/default.gguf on 127.0.0.1:8080\n"
    "  headwater run \"Why is the sky blue?\"         one answer, on the terminal\n"
    "  headwater chat                               a conversation\n"
    "  headwater topology check topologies/*.yaml   look for mistakes without starting anything\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage. `headwater COMMAND --help` explains a command.";

/// Each of malloc's arenas reserves 64 MiB of addresses, and there would be one for each thread.
void spare_addresses() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) mallopt(M_ARENA_MAX, 1);
}

int main(int argc, char** argv) {
  CLI::App app{"Headwater serves large language models from a dataflow of actors.", "headwater"};
  app.require_subcommand(1);
  app.set_version_flag("--version", "headwater " HEADWATER_VERSION);
  app.footer(kExamples);
  Action action;
  for (const auto add :
       {add_serve, add_run, add_chat, add_tokenize, add_model, add_topology, add_bench, add_eval, add_cachesim})
    add(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const std::string unknown = error.get_exit_code() == 0 ? "" : unknown_word(app, {argv + 1, argv + argc});
    if (!unknown.empty()) std::cerr << "headwater: " << unknown << "\n";
    return app.exit(error) == 0 ? 0 : kWrongUsage;  // --help is an "error", too
  }
  hide_keys(argc, argv);
  spare_addresses();
  spdlog::set_default_logger(spdlog::stderr_color_mt("headwater"));
  spdlog::set_level(spdlog::level::warn);
  try {
    if (const std::string wrong = kernels::wrong_processor(); !wrong.empty()) {
      fail(wrong);
      return kWrongUsage;
    }
    if (trace_file().empty()) return action();
    if (!std::ofstream(trace_file(), std::ios::app)) {
      return fail("--trace: cannot write " + trace_file() + ": " + std::strerror(errno));
    }
    trace::start();
    const int status = action();
    if (!trace::write(trace_file())) return fail("cannot write the trace to " + trace_file());
    return status;
  } catch (const std::bad_alloc&) {
    return fail("out of memory; try a smaller --cache-size-limit or a smaller model");
  } catch (const std::system_error& error) {
    return fail(std::string("the system refused what is needed, such as a thread: ") + error.what() +
                "; raise its limits (ulimit -a), or pass --threads 1");
  } catch (const std::exception& error) {
    return fail(std::string("internal error: ") + error.what());
  }
}

}  // namespace
}  // namespace headwater::tools

int main(int argc, char** argv) { return headwater::tools::main(argc, argv); }
