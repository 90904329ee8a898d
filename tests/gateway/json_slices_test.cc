#include "gateway/json_slices.h"

#include <gtest/gtest.h>

namespace headwater::gateway {
namespace {

TEST(JsonSlices, FindTheValueOfAMemberAsItStands) {
  constexpr std::string_view kText =
      R"( { "a" : {"z": [1, "}"], "a": 2 } , "b":"x\"]}", "c" : -1.50e3,"d":null , "e\u0066": true } )";
  EXPECT_EQ(json_member(kText, "a"), R"({"z": [1, "}"], "a": 2 })");
  EXPECT_EQ(json_member(kText, "b"), R"("x\"]}")");
  EXPECT_EQ(json_member(kText, "c"), "-1.50e3");
  EXPECT_EQ(json_member(kText, "d"), "null");
  EXPECT_EQ(json_member(kText, "ef"), "true");
  EXPECT_EQ(json_member(kText, "z"), "");
  EXPECT_EQ(json_member(R"({"a": 1, "a": [2]})", "a"), "[2]") << "the last counts";
  EXPECT_EQ(json_member("{}", "a"), "");
  EXPECT_EQ(json_member("[]", "a"), "");
  EXPECT_EQ(json_member("", "a"), "");
}

TEST(JsonSlices, CutAListIntoItsElements) {
  EXPECT_EQ(json_elements(R"([1 , "a,b" ,[2,[3]], {"c":[4]},null])"),
            (std::vector<std::string_view>{"1", R"("a,b")", "[2,[3]]", R"({"c":[4]})", "null"}));
  EXPECT_TRUE(json_elements(" [ ] ").empty());
  EXPECT_TRUE(json_elements("{}").empty());
  EXPECT_TRUE(json_elements("").empty());
}

TEST(JsonSlices, EndWhereATextIsNoJson) {
  for (const std::string_view text :
       {"{", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":[", "[", "[1,", "[\"", "[\"\\", "{\"a\":1,", "[[[", "{\"\\"}) {
    json_member(text, "a");
    json_elements(text);
  }
}

}  // namespace
}  // namespace headwater::gateway
