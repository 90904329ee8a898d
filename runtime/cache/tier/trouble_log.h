#pragma once
// What a person is told of a device's troubles: one line as one begins and one as it is over, however often it shows.

#include <map>
#include <optional>
#include <string>

#include "base/time.h"

namespace headwater::cache {

class TroubleLog {
 public:
  /// The same trouble that was over and comes back is told again after this.
  static constexpr TimeNs kAgain = 60'000'000'000;

  struct Line {
    bool trouble = false;  ///< or its end
    std::string text;
  };

  /// How `doing` ("save", …) ended; `error` empty: well. Gives what is to be told.
  std::optional<Line> on(const std::string& doing, const std::string& error, TimeNs now);

 private:
  struct Told {
    std::string error;
    TimeNs at = 0;
    bool open = false;  ///< its end has not been told
  };
  std::map<std::string, Told> told_;  ///< by doing
};

}  // namespace headwater::cache
