#pragma once
// An actor whose behavior a test writes where it is spawned.

#include <caf/all.hpp>
#include <functional>
#include <utility>

namespace headwater::test {

/// spawn<HandlerActor>(make): CAF's own way to spawn a function without arguments binds a reference to nothing, which
/// the sanitizer for undefined behaviour reports.
class HandlerActor : public caf::event_based_actor {
 public:
  using Make = std::function<caf::behavior(caf::event_based_actor*)>;

  HandlerActor(caf::actor_config& config, Make make) : caf::event_based_actor(config), make_(std::move(make)) {}
  caf::behavior make_behavior() override { return make_(this); }

 private:
  Make make_;
};

}  // namespace headwater::test
