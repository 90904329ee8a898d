#include "gateway/request_id.h"

#include <gtest/gtest.h>

namespace headwater::gateway {
namespace {

TEST(RequestId, IsTheClientsWhereItMayStandInAHeader) {
  EXPECT_EQ(request_id("trace/4bf92f35-77b3+4d=a_B.9:~@"), "trace/4bf92f35-77b3+4d=a_B.9:~@");
  EXPECT_EQ(request_id(std::string(128, 'x')), std::string(128, 'x'));
}

TEST(RequestId, IsARandomOneElse) {
  for (const std::string& given : {std::string(), std::string(129, 'x'), std::string("a b"), std::string("a\r\nB: c"),
                                   std::string("\xC3\xA4"), std::string("a\0b", 3), std::string("\"")}) {
    const std::string id = request_id(given);
    EXPECT_EQ(id.size(), 28U);
    EXPECT_TRUE(id.starts_with("req-"));
    EXPECT_TRUE(is_request_id(id));
    EXPECT_NE(id, request_id(given));
  }
}

TEST(RequestId, OfAnyTextIsWhatTheLogMayShow) {
  EXPECT_EQ(loggable_id("a b\n\"c\" ok"), "a?b??c??ok");
  EXPECT_EQ(loggable_id(std::string(1000, 'x')).size(), 128U);
}

}  // namespace
}  // namespace headwater::gateway
