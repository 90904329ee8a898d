#include "tools/cachesim/families.h"

#include <vector>

namespace headwater::cachesim {

std::span<const Family> families() {
  static const std::vector<Family> all = [] {
    std::vector<Family> sum;
    for (const auto some :
         {chat_families(), agent_families(), document_families(), popularity_families(), mixed_families()}) {
      sum.insert(sum.end(), some.begin(), some.end());
    }
    return sum;
  }();
  return all;
}

}  // namespace headwater::cachesim
