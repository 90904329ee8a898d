// docs/METRICS.md, the dashboard and the alert rules name the metrics that there are.

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>

#include "gateway/json_text.h"
#include "gateway/metrics.h"
#include "tests/gateway/fake_runtime.h"

namespace headwater::test {
namespace {

using Names = std::set<std::string>;

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

/// What looks like the name of a metric, as it stands in the text.
Names names_in(const std::string& text) {
  static const std::regex kName("(headwater|process)_[a-z0-9_]+");
  Names names;
  for (auto at = std::sregex_iterator(text.begin(), text.end(), kName); at != std::sregex_iterator(); ++at) {
    names.insert(at->str());
  }
  return names;
}

/// Name and type of every metric that a server with all that there is tells of.
std::map<std::string, std::string> told() {
  FakeRuntime runtime;
  runtime.tier.emplace();
  gateway::Metrics metrics(runtime);
  metrics.count_response(200);
  const std::string text = metrics.text();
  static const std::regex kType("# TYPE ([a-z0-9_]+) ([a-z]+)\n");
  std::map<std::string, std::string> types;
  for (auto at = std::sregex_iterator(text.begin(), text.end(), kType); at != std::sregex_iterator(); ++at) {
    types[at->str(1)] = at->str(2);
  }
  return types;
}

/// The names under which a query may find the metrics.
Names series() {
  Names names;
  for (const auto& [name, type] : told()) {
    if (type != "histogram") names.insert(name);
    if (type != "histogram") continue;
    for (const char* part : {"_bucket", "_sum", "_count"}) names.insert(name + part);
  }
  return names;
}

TEST(MetricsDocuments, ListEveryMetricAndNoneThatThereIsNot) {
  Names documented;
  static const std::regex kRow("\\| `([a-z0-9_]+)` \\|( (counter|gauge|histogram) \\|)?");
  const std::string page = text_of("docs/METRICS.md");
  const auto types = told();
  for (auto at = std::sregex_iterator(page.begin(), page.end(), kRow); at != std::sregex_iterator(); ++at) {
    const std::string name = at->str(1);
    documented.insert(name);
    ASSERT_TRUE(types.contains(name)) << name << " is documented, and there is no such metric";
    EXPECT_EQ(types.at(name), at->str(3).empty() ? "histogram" : at->str(3)) << name;
  }
  for (const auto& [name, type] : types) EXPECT_TRUE(documented.contains(name)) << name << " is not in docs/METRICS.md";
}

TEST(MetricsDocuments, TheDashboardAsksForMetricsThatThereAre) {
  const std::string text = text_of("docs/monitoring/dashboard.json");
  EXPECT_TRUE(gateway::Json::accept(text));
  const Names there = series(), asked = names_in(text);
  EXPECT_GT(asked.size(), 30U);
  for (const std::string& name : asked) EXPECT_TRUE(there.contains(name)) << name;
}

TEST(MetricsDocuments, TheAlertsAskForMetricsThatThereAre) {
  const YAML::Node file = YAML::LoadFile("docs/monitoring/alerts.yaml");
  const Names there = series();
  std::size_t rules = 0;
  for (const auto& group : file["groups"]) {
    for (const auto& rule : group["rules"]) {
      ++rules;
      EXPECT_TRUE(rule["annotations"]["summary"].IsDefined()) << rule["alert"];
      const Names asked = names_in(rule["expr"].as<std::string>());
      EXPECT_FALSE(asked.empty());
      for (const std::string& name : asked) EXPECT_TRUE(there.contains(name)) << name;
    }
  }
  EXPECT_GE(rules, 8U);
}

/// By Prometheus' rules a counter's name ends in _total, and no other does.
TEST(MetricsDocuments, OnlyCountersAreCalledTotal) {
  for (const auto& [name, type] : told()) EXPECT_EQ(name.ends_with("_total"), type == "counter") << name;
}

}  // namespace
}  // namespace headwater::test
