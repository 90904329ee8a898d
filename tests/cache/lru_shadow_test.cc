#include "cache/lru_shadow.h"

#include <gtest/gtest.h>

#include <list>
#include <map>
#include <random>

namespace headwater::cache {
namespace {

TEST(LruShadow, HoldsNothingBeforeTheFirstUse) { EXPECT_FALSE(LruShadow(4).holds(0)); }

TEST(LruShadow, HoldsAsManyKeysAsAnLruCache) {
  constexpr std::uint32_t kCapacity = 40;  // below 64, where spans are single uses and nothing is rounded
  std::mt19937 random(1);
  LruShadow shadow(kCapacity);
  std::list<unsigned> cache;
  std::map<unsigned, std::uint64_t> last_used;
  for (std::uint64_t now = 1; now <= 5000; ++now) {
    const unsigned key = random() % 10 == 0 ? random() % 200 : random() % 50;
    const auto found = std::find(cache.begin(), cache.end(), key);
    ASSERT_EQ(shadow.holds(last_used[key]), found != cache.end()) << now;
    if (found != cache.end()) cache.erase(found);
    cache.push_front(key);
    if (cache.size() > kCapacity) cache.pop_back();
    shadow.use(last_used[key], now);
    last_used[key] = now;
  }
}

TEST(LruShadow, SurvivesAKeyThatIsTakenForAnother) {
  LruShadow shadow(4);
  for (std::uint64_t now = 1; now <= 40; ++now) shadow.use(now > 4 ? now - 4 : 0, now);
  for (std::uint64_t now = 41; now <= 80; ++now) shadow.use(40, now);  // there was but one of them
  EXPECT_TRUE(shadow.holds(80));
  EXPECT_TRUE(shadow.holds(77));
  EXPECT_FALSE(shadow.holds(76));
}

TEST(LruShadow, SurvivesAKeyThatIsUsedForLong) {
  LruShadow shadow(4);
  shadow.use(0, 1);
  for (std::uint64_t now = 2; now < 100000; ++now) shadow.use(now - 1, now);
  EXPECT_TRUE(shadow.holds(99999));
  shadow.reset();
  EXPECT_FALSE(shadow.holds(0));
}

}  // namespace
}  // namespace headwater::cache
