#include "gateway/sessions.h"

#include <gtest/gtest.h>

namespace headwater::test {
namespace {

using gateway::Sessions;

class FakeSession : public gateway::Session {
 public:
  void end(bool) override {}
  void make_room() override { ++asked; }
  using gateway::Session::set_busy;
  using gateway::Session::set_idle;
  using gateway::Session::stay;

  int asked = 0;
};

struct Two {
  Two() {
    EXPECT_TRUE(sessions.reserve());
    EXPECT_TRUE(sessions.reserve());
    sessions.add(first);
    sessions.add(second);
  }
  Sessions sessions{2};
  std::shared_ptr<FakeSession> first = std::make_shared<FakeSession>();
  std::shared_ptr<FakeSession> second = std::make_shared<FakeSession>();
};

TEST(Sessions, AskTheOneThatHasBeenIdleForLongestToMakeRoom) {
  Two two;
  two.second->set_idle();
  two.first->set_idle();
  EXPECT_TRUE(two.sessions.reserve());
  EXPECT_EQ(two.second->asked, 1);
  EXPECT_EQ(two.first->asked, 0);
  EXPECT_TRUE(two.sessions.reserve());
  EXPECT_EQ(two.second->asked, 1) << "it is going already";
  EXPECT_EQ(two.first->asked, 1);
  EXPECT_FALSE(two.sessions.reserve()) << "all are asked";
}

TEST(Sessions, TakeNobodyWhereAllAreBusy) {
  Two two;
  two.first->set_busy();
  EXPECT_FALSE(two.sessions.reserve());
  EXPECT_EQ(two.first->asked + two.second->asked, 0);
  two.sessions.release();
  EXPECT_TRUE(two.sessions.reserve());
}

TEST(Sessions, AskAgainOneThatHadBecomeBusy) {
  Two two;
  two.first->set_idle();
  EXPECT_TRUE(two.sessions.reserve());
  two.first->stay();
  EXPECT_TRUE(two.sessions.reserve());
  EXPECT_EQ(two.first->asked, 2);
}

}  // namespace
}  // namespace headwater::test
