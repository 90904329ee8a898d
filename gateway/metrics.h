#pragma once
// What Prometheus scrapes: the gateway's own observations, and the runtime's Stats read at scrape time.
//
// Threading: every member may be called from any thread. text() asks the runtime, which may take a second.

#include <chrono>
#include <memory>
#include <string>

#include "headwater/runtime.h"

namespace headwater::gateway {

class Metrics {
 public:
  explicit Metrics(const Runtime& runtime);
  ~Metrics();

  /// A terminal event: times and lengths of a finished request.
  void observe(const TokenEvent& event);
  /// The time between two tokens of a request.
  void observe_gap(std::chrono::nanoseconds gap);
  /// A request for tokens that was refused before the runtime saw it, by an error with this code.
  void count_refused(ErrorCode code);
  void count_response(unsigned status);
  void connection_opened();
  void connection_closed();

  /// The text format, version 0.0.4.
  std::string text() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace headwater::gateway
