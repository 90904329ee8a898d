#pragma once
// One rendering: the names that are known, what has been written, and what may still be taken.
//
// Threading: one caller at a time.

#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/jinja/value.h"

namespace headwater::model::jinja {

/// Names of a block. What a block sets is gone at its end.
struct Scope {
  explicit Scope(std::shared_ptr<Scope> outer) : outer(std::move(outer)) {}
  /// In this scope alone.
  void set(std::string_view name, Value value);
  /// Here and in those around it; nullptr: nowhere.
  const Value* find(std::string_view name) const;

  std::shared_ptr<Scope> outer;
  std::map<std::string, Value, std::less<>> names;
  bool kept = false;
};

struct Run {
  Run(const Limits& limits, std::time_t now) : budget(limits), now(now) {}
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  /// Appends what is printed to the output under way.
  void write(const Text& text);
  void write(std::string_view bytes, Origin origin);
  Value string(std::string bytes, Origin origin);
  Value string(Text text);
  Value undefined(std::string why);
  /// Before all of a value is looked at: of a string its bytes, of a list its items.
  void look_through(const Value& value);
  /// A macro looks names up in the scope where it stands, whenever it is called: such scopes live until the end.
  void keep(const std::shared_ptr<Scope>& scope);

  Budget budget;  ///< first: values are let go of before it
  std::time_t now;
  std::shared_ptr<Scope> scope = std::make_shared<Scope>(nullptr);
  Text out;
  std::vector<std::shared_ptr<const Namespace>> namespaces;  ///< which may hold each other: emptied at the end
  std::vector<std::shared_ptr<Scope>> kept_scopes;           ///< likewise
};

/// A scope of its own, inside of `outer`, for as long as it lives.
class InnerScope {
 public:
  InnerScope(Run& run, std::shared_ptr<Scope> outer);
  explicit InnerScope(Run& run) : InnerScope(run, run.scope) {}
  ~InnerScope() { run_.scope = std::move(before_); }
  InnerScope(const InnerScope&) = delete;
  InnerScope& operator=(const InnerScope&) = delete;

 private:
  Run& run_;
  std::shared_ptr<Scope> before_;
};

/// What is written while it lives goes to take().
class Capture {
 public:
  explicit Capture(Run& run) : run_(run), before_(std::exchange(run.out, {})) {}
  ~Capture() {
    if (!taken_) run_.out = std::move(before_);
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  Text take() {
    taken_ = true;
    return std::exchange(run_.out, std::move(before_));
  }

 private:
  Run& run_;
  Text before_;
  bool taken_ = false;
};

}  // namespace headwater::model::jinja
