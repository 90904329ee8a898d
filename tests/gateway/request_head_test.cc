#include "gateway/request_head.h"

#include <gtest/gtest.h>

namespace headwater::test {
namespace {

using namespace gateway;

using Fields = std::vector<std::pair<std::string, std::string>>;

HttpRequest request(const Fields& fields, const std::string& target = "/health", unsigned version = 11) {
  HttpRequest request(http::verb::get, target, version);
  for (const auto& [name, value] : fields) request.insert(name, value);
  return request;
}

std::string framing(const Fields& fields, const std::string& target = "/", unsigned version = 11) {
  const auto wrong = check_framing(request(fields, target, version));
  return wrong ? std::string(name_of(wrong->code)) : "";
}

TEST(RequestHead, SplitsAnAbsoluteTarget) {
  EXPECT_EQ(split_target("/v1/models?x=http://y").path, "/v1/models?x=http://y");
  EXPECT_EQ(split_target("/v1/models").authority, "");
  EXPECT_EQ(split_target("http://a:80/v1/models?x").authority, "a:80");
  EXPECT_EQ(split_target("HTTP://a:80/v1/models?x").path, "/v1/models?x");
  EXPECT_EQ(split_target("https://a").path, "/");
  EXPECT_EQ(split_target("http://a?x").authority, "a");
  EXPECT_EQ(split_target("*").path, "*");
}

TEST(RequestHead, TakesOnlyOneHostThatIsOne) {
  for (const char* host : {"localhost", "a.b-c_d:8080", "127.0.0.1", "[::1]", "[fe80::1]:1", " x "}) {
    EXPECT_EQ(framing({{"Host", host}}), "") << host;
  }
  for (const char* host :
       {"", " ", "a b", "a/b", "a@b", "a:", "a:b", "a:123456", "[::1", "[]", "a,b", "[::1]x", ":80"}) {
    EXPECT_EQ(framing({{"Host", host}}), "bad_http") << host;
  }
  EXPECT_EQ(framing({}), "bad_http");
  EXPECT_EQ(framing({{"Host", "a"}, {"Host", "a"}}), "bad_http");
  EXPECT_EQ(framing({}, "/", 10), "");
  EXPECT_EQ(framing({{"Host", "a"}}, "http://b c/"), "bad_http");
}

TEST(RequestHead, TakesTheTargetsHostBeforeTheHeaders) {
  EXPECT_EQ(host_of(request({{"Host", "a"}}, "http://b:1/")), "b:1");
  EXPECT_EQ(host_of(request({{"Host", " a "}})), "a");
}

TEST(RequestHead, RefusesWhatTwoReadersWouldFrameDifferently) {
  const auto coded = [](const std::string& coding) { return framing({{"Host", "a"}, {"Transfer-Encoding", coding}}); };
  EXPECT_EQ(coded("chunked"), "");
  EXPECT_EQ(coded(" Chunked "), "");
  for (const char* coding : {"", "identity", "gzip", "chunked, chunked", "chunked, identity", "chunked,", "xchunked",
                             "chunked;a=b", "\"chunked\"", "chunked, gzip, chunked"}) {
    EXPECT_EQ(coded(coding), "bad_http") << coding;
  }
  for (const char* coding : {"gzip, chunked", "gzip,chunked", "identity, gzip, Chunked", ", chunked"}) {
    EXPECT_EQ(coded(coding), "unsupported_transfer_encoding") << coding;
  }
  EXPECT_EQ(framing({{"Host", "a"}, {"Transfer-Encoding", "gzip"}, {"Transfer-Encoding", "chunked"}}),
            "unsupported_transfer_encoding");
  EXPECT_EQ(framing({{"Host", "a"}, {"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "gzip"}}), "bad_http");
  EXPECT_EQ(framing({{"Host", "a"}, {"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}), "bad_http");
  EXPECT_EQ(framing({{"Host", "a"}, {"Transfer-Encoding", "chunked"}, {"Content-Length", "5"}}), "bad_http");
  EXPECT_EQ(framing({{"Host", "a"}, {"Transfer-Encoding", "identity"}, {"Content-Length", "5"}}), "bad_http");
  EXPECT_EQ(framing({{"Transfer-Encoding", "chunked"}}, "/", 10), "bad_http");
  for (const char* length : {"", "5, 5", "+5", "-1", "0x5", "5 5", "5."}) {
    EXPECT_EQ(framing({{"Host", "a"}, {"Content-Length", length}}), "bad_http") << length;
  }
  EXPECT_EQ(framing({{"Host", "a"}, {"Content-Length", "5"}, {"Content-Length", "5"}}), "bad_http");
  EXPECT_EQ(framing({{"Host", "a"}, {"Content-Length", "05"}}), "");
}

TEST(RequestHead, KnowsWhetherABodyFollows) {
  EXPECT_FALSE(has_body(request({})));
  EXPECT_FALSE(has_body(request({{"Content-Length", "0"}})));
  EXPECT_FALSE(has_body(request({{"Content-Length", "00"}})));
  EXPECT_TRUE(has_body(request({{"Content-Length", "10"}})));
  EXPECT_TRUE(has_body(request({{"Transfer-Encoding", "chunked"}})));
}

TEST(RequestHead, TakesOnlyPlainJson) {
  const auto fine = [](const Fields& fields) { return !check_body_type(request(fields)); };
  EXPECT_TRUE(fine({{"Content-Type", "application/json"}}));
  EXPECT_TRUE(fine({{"Content-Type", "Application/JSON ; charset=utf-8"}, {"Content-Encoding", "identity"}}));
  EXPECT_FALSE(fine({}));
  EXPECT_FALSE(fine({{"Content-Type", "text/plain"}}));
  EXPECT_FALSE(fine({{"Content-Type", "application/jsonx"}}));
  EXPECT_FALSE(fine({{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}}));
}

TEST(RequestHead, WantsAWebSocketsKeyToBeSixteenBytes) {
  const auto fine = [](const std::string& key) { return !check_upgrade(request({{"Sec-WebSocket-Key", key}})); };
  EXPECT_TRUE(fine("dGhlIHNhbXBsZSBub25jZQ=="));
  for (const char* key :
       {"", "x", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZ!==", "dGhlIHNhbXBsZSBub25jZQAAAA=="}) {
    EXPECT_FALSE(fine(key)) << key;
  }
  EXPECT_TRUE(check_upgrade(request({})));
}

TEST(RequestHead, TellsUnknownHostsAndForeignPagesWhatWouldLetThemIn) {
  Origins origins("127.0.0.1", {}, {});
  origins.only_known_hosts();
  EXPECT_FALSE(check_caller(origins, request({{"Host", "localhost:8080"}})));
  const auto host = check_caller(origins, request({{"Host", "evil.example:8080"}}));
  ASSERT_TRUE(host);
  EXPECT_EQ(host->code, ErrorCode::foreign_host);
  EXPECT_NE(host->message.find("--allow-host evil.example"), std::string::npos);
  const auto page = check_caller(origins, request({{"Host", "localhost"}, {"Origin", "https://evil.example"}}));
  ASSERT_TRUE(page);
  EXPECT_EQ(page->code, ErrorCode::foreign_origin);
  EXPECT_NE(page->message.find("--allow-origin"), std::string::npos);
  EXPECT_TRUE(check_caller(
      origins, request({{"Host", "localhost"}, {"Origin", "http://localhost"}, {"Origin", "http://localhost"}})));
}

}  // namespace
}  // namespace headwater::test
