#include "base/trace.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace headwater::trace {
namespace {

struct Record {
  const char* name;
  std::int64_t began;  ///< nanoseconds
  std::uint32_t nanoseconds;
  std::uint32_t count;
  std::atomic<std::uint32_t> thread;  ///< 0: not written yet
};

struct Recording {
  std::unique_ptr<Record[]> records;
  std::size_t size = 0;
  std::atomic<std::size_t> next{0};
  std::mutex names_mutex;
  std::map<std::uint32_t, const char*> thread_names;
};

Recording& recorded() {
  static Recording all;
  return all;
}

std::int64_t now() { return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::uint32_t thread_id() {
  thread_local const auto id = static_cast<std::uint32_t>(syscall(SYS_gettid));
  return id;
}

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

void start(std::size_t spans) {
  Recording& all = recorded();
  recording = false;
  all.records = std::make_unique<Record[]>(spans);
  all.size = spans;
  all.next = 0;
  recording = true;
}

void Span::begin(const char* name, std::uint64_t count) {
  name_ = name;
  count_ = count;
  began_ = now();
}

void Span::end() const {
  Recording& all = recorded();
  if (!recording.load(std::memory_order_relaxed)) return;
  const std::size_t place = all.next.fetch_add(1, std::memory_order_relaxed);
  if (place >= all.size) return;
  Record& record = all.records[place];
  record.name = name_;
  record.began = began_;
  record.nanoseconds = static_cast<std::uint32_t>(std::min<std::int64_t>(now() - began_, UINT32_MAX));
  record.count = static_cast<std::uint32_t>(std::min<std::uint64_t>(count_, UINT32_MAX));
  record.thread.store(thread_id(), std::memory_order_release);
}

void name_thread(const char* name) {
  if (!recording.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(recorded().names_mutex);
  recorded().thread_names[thread_id()] = name;
}

bool write(const std::string& path) {
  recording = false;
  Recording& all = recorded();
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "w"));
  if (file == nullptr) return false;
  // Source: Trace Event Format, "Complete Events" and "Metadata Events"; times are microseconds.
  const std::size_t kept = std::min(all.next.load(), all.size);
  std::fprintf(file.get(), "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"spans_left_out\":%zu},\"traceEvents\":[",
               all.next.load() - kept);
  const char* comma = "\n";
  {
    const std::lock_guard lock(all.names_mutex);
    for (const auto& [thread, name] : all.thread_names) {
      std::fprintf(file.get(),
                   "%s{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":%u,\"args\":{\"name\":\"%s\"}}", comma,
                   thread, name);
      comma = ",\n";
    }
  }
  for (std::size_t i = 0; i < kept; ++i) {
    const Record& record = all.records[i];
    const std::uint32_t thread = record.thread.load(std::memory_order_acquire);
    if (thread == 0) continue;  // its thread was about to write it
    std::fprintf(
        file.get(),
        "%s{\"ph\":\"X\",\"name\":\"%s\",\"pid\":1,\"tid\":%u,\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"count\":%u}}", comma,
        record.name, thread, static_cast<double>(record.began) * 1e-3, record.nanoseconds * 1e-3, record.count);
    comma = ",\n";
  }
  std::fprintf(file.get(), "\n]}\n");
  return std::fflush(file.get()) == 0 && std::ferror(file.get()) == 0;
}

}  // namespace headwater::trace
