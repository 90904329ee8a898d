#include "gateway/connections.h"

#include <gtest/gtest.h>

namespace headwater::test {
namespace {

using gateway::Connections;

class FakeConnection : public gateway::Connection {
 public:
  void end(bool) override {}
  void make_room() override { ++asked; }
  using gateway::Connection::set_busy;
  using gateway::Connection::set_idle;
  using gateway::Connection::stay;

  int asked = 0;
};

struct Two {
  Two() {
    EXPECT_TRUE(connections.reserve());
    EXPECT_TRUE(connections.reserve());
    connections.add(first);
    connections.add(second);
  }
  Connections connections{2};
  std::shared_ptr<FakeConnection> first = std::make_shared<FakeConnection>();
  std::shared_ptr<FakeConnection> second = std::make_shared<FakeConnection>();
};

TEST(Connections, AskTheOneThatHasBeenIdleForLongestToMakeRoom) {
  Two two;
  two.second->set_idle();
  two.first->set_idle();
  EXPECT_TRUE(two.connections.reserve());
  EXPECT_EQ(two.second->asked, 1);
  EXPECT_EQ(two.first->asked, 0);
  EXPECT_TRUE(two.connections.reserve());
  EXPECT_EQ(two.second->asked, 1) << "it is going already";
  EXPECT_EQ(two.first->asked, 1);
  EXPECT_FALSE(two.connections.reserve()) << "all are asked";
}

TEST(Connections, TakeNobodyWhereAllAreBusy) {
  Two two;
  two.first->set_busy();
  EXPECT_FALSE(two.connections.reserve());
  EXPECT_EQ(two.first->asked + two.second->asked, 0);
  two.connections.release();
  EXPECT_TRUE(two.connections.reserve());
}

TEST(Connections, AskAgainOneThatHadBecomeBusy) {
  Two two;
  two.first->set_idle();
  EXPECT_TRUE(two.connections.reserve());
  two.first->stay();
  EXPECT_TRUE(two.connections.reserve());
  EXPECT_EQ(two.first->asked, 2);
}

}  // namespace
}  // namespace headwater::test
