// docs/API.md holds all that the gateway reads and says.

#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "headwater/error_code.h"

namespace headwater::gateway {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path << " is read from the folder of the sources";
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// All words that stand in `code` of the document.
std::set<std::string> documented() {
  const std::string text = text_of("docs/API.md");
  std::set<std::string> words;
  const std::regex code("`([^`]*)`"), word("[A-Za-z0-9_]+");
  for (std::sregex_iterator span(text.begin(), text.end(), code), end; span != end; ++span) {
    const std::string inside = (*span)[1];
    for (std::sregex_iterator one(inside.begin(), inside.end(), word); one != end; ++one) words.insert(one->str());
  }
  return words;
}

/// What `pattern` captures in a text.
std::set<std::string> all(const std::string& text, const std::string& pattern) {
  std::set<std::string> found;
  const std::regex wanted(pattern);
  for (std::sregex_iterator one(text.begin(), text.end(), wanted), end; one != end; ++one) found.insert((*one)[1]);
  return found;
}

/// The fields that a source file asks for by name.
std::set<std::string> fields_of(const std::string& path) {
  const std::string text = text_of(path);
  std::set<std::string> names = all(text, R"((?:read|value|read_bits|refuse_other_than)\(\s*"([a-z0-9_]+)\")");
  for (const char* list : {R"((?:accept|refuse|first_of)\(\s*\{([^}]*)\})", R"(const char\* name :\s*\{([^}]*)\})"}) {
    for (const std::string& inside : all(text, list)) names.merge(all(inside, R"rx("([a-z0-9_]+)")rx"));
  }
  return names;
}

TEST(ApiDocument, HasEveryFieldThatIsReadOrAcceptedOrRefused) {
  const std::set<std::string> words = documented();
  std::size_t checked = 0;
  for (const char* source : {"openai_chat", "openai_common", "openai_completions", "native_dialect", "shared_fields",
                             "foreign_fields", "chat_messages", "cache_fields", "http_endpoints", "http_admin"}) {
    for (const std::string& field : fields_of("gateway/" + std::string(source) + ".cc")) {
      EXPECT_TRUE(words.contains(field)) << field << ", of gateway/" << source << ".cc";
      ++checked;
    }
  }
  EXPECT_GT(checked, 150U) << "the sources name fields in another way: this test must learn it";
}

TEST(ApiDocument, HasEveryRoute) {
  const std::string text = text_of("docs/API.md");
  const std::set<std::string> routes = all(text_of("gateway/http_routes.cc"), R"rx(\{"(/[^"]*)")rx");
  EXPECT_GT(routes.size(), 10U);
  for (const std::string& route : routes) {
    const std::string shown = route.ends_with('/') ? route + "NAME`" : route + "`";
    EXPECT_NE(text.find(shown), std::string::npos) << route;
  }
}

TEST(ApiDocument, HasEveryFrame) {
  const std::string text = text_of("docs/API.md");
  for (const char* frame : {"generate", "cancel", "end_session", "accepted", "prompt", "token", "finished", "cancelled",
                            "failed", "session_ended", "error"}) {
    EXPECT_NE(text.find("| `" + std::string(frame) + "` |"), std::string::npos) << frame;
  }
}

TEST(ApiDocument, HasEveryErrorThatAClientMayMeetWithItsStatus) {
  const std::string text = text_of("docs/API.md");
  const std::set<ErrorCode> of_serving = {ErrorCode::stage_failed, ErrorCode::computation_failed, ErrorCode::cancelled};
  for (std::size_t i = 1; i < std::size(kErrorCodes); ++i) {
    const auto& [name, status] = kErrorCodes[i];
    if (status == 500 && !of_serving.contains(static_cast<ErrorCode>(i))) continue;
    const std::string row = "| `" + std::string(name) + "` | " + std::to_string(status) + " |";
    EXPECT_NE(text.find(row), std::string::npos) << "docs/API.md lacks: " << row;
  }
}

}  // namespace
}  // namespace headwater::gateway
