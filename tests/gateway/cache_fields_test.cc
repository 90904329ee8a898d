#include "gateway/cache_fields.h"

#include <gtest/gtest.h>

namespace headwater::gateway {
namespace {

Result<CacheControl> read(const char* text) {
  const Json body = Json::parse(text);
  Fields fields(body);
  CacheControl control;
  read_cache_control(fields, control);
  if (auto read = fields.finish(); !read) return read.error();
  return control;
}

TEST(CacheFields, ReadsPriorityTimeAndPin) {
  const auto control = read(R"({"cache": {"priority": 100, "ttl": "1.5h", "pin": true}})");
  ASSERT_TRUE(control.ok());
  EXPECT_EQ(control->priority, 100);
  EXPECT_EQ(control->ttl_ms, 5'400'000U);
  EXPECT_TRUE(control->pin);
  for (const char* text : {"{}", R"({"cache": null})", R"({"cache": {"ttl": null}})"}) {
    EXPECT_EQ(read(text)->priority, kNormalPriority);
    EXPECT_FALSE(read(text)->ttl_ms.has_value());
    EXPECT_FALSE(read(text)->pin);
  }
}

TEST(CacheFields, NamesTheFieldAtFault) {
  const std::pair<const char*, const char*> wrong[] = {{R"({"cache": true})", "cache"},
                                                       {R"({"cache": {"priority": 101}})", "cache.priority"},
                                                       {R"({"cache": {"priority": -1}})", "cache.priority"},
                                                       {R"({"cache": {"priority": 1.5}})", "cache.priority"},
                                                       {R"({"cache": {"ttl": 300}})", "cache.ttl"},
                                                       {R"({"cache": {"ttl": ""}})", "cache.ttl"},
                                                       {R"({"cache": {"ttl": "300"}})", "cache.ttl"},
                                                       {R"({"cache": {"ttl": "0s"}})", "cache.ttl"},
                                                       {R"({"cache": {"ttl": "-1s"}})", "cache.ttl"},
                                                       {R"({"cache": {"ttl": "721h"}})", "cache.ttl"},
                                                       {R"({"cache": {"ttl": "1e99h"}})", "cache.ttl"},
                                                       {R"({"cache": {"ttl": "nans"}})", "cache.ttl"},
                                                       {R"({"cache": {"pin": 1}})", "cache.pin"},
                                                       {R"({"cache": {"pinned": true}})", "cache.pinned"}};
  for (const auto& [text, param] : wrong) {
    const auto control = read(text);
    ASSERT_FALSE(control.ok()) << text;
    EXPECT_EQ(control.error().param, param) << text;
    EXPECT_NE(control.error().message.find(param), std::string::npos) << control.error().message;
  }
}

TEST(CacheFields, ReadsANameOfASession) {
  const auto session = [](const Json& body) {
    Fields fields(body);
    std::string name;
    read_session(fields, name);
    const auto read = fields.finish();
    return read ? name : "error: " + read.error().param;
  };
  EXPECT_EQ(session({{"session", "chat"}}), "chat");
  EXPECT_EQ(session(Json::object()), "");
  EXPECT_EQ(session({{"session", std::string(256, 'x')}}), std::string(256, 'x'));
  EXPECT_EQ(session({{"session", std::string(257, 'x')}}), "error: session");
  EXPECT_EQ(session({{"session", ""}}), "error: session");
  EXPECT_EQ(session({{"session", 7}}), "error: session");
}

}  // namespace
}  // namespace headwater::gateway
