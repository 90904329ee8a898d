#include "topology/options.h"

#include <algorithm>
#include <string>

#include "tests/topology/check.h"
#include "topology/document.h"
#include "topology/sections.h"
#include "topology/values.h"

namespace headwater::topology {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

/// kSound with `item`, "key: value", in a section.
std::string with_item(const std::string& section, const std::string& item) {
  if (section.empty()) return kSound + item + "\n";
  if (section == "stages") return with("{ id: tok,", "{ id: tok, " + item + ",");
  return with(section + ": { ", section + ": { " + item + ", ");
}

std::string written(double value, ArgType type) {
  if (type == ArgType::duration) return duration_text(value);
  return number_text(value);
}

TEST(Options, NameTheKeysOfEachSectionThatTheParserTakes) {
  for (const SectionSpec& section : section_specs()) {
    const std::string said = report(with_item(section.name, "zzz: 1"));
    const std::size_t begin = said.find("known: ");
    ASSERT_NE(begin, std::string::npos) << section.name << ": " << said;
    std::vector<std::string> names;
    for (const ArgSpec& key : section.keys) names.push_back(key.name);
    for (const std::string& name : names) {
      EXPECT_THAT(said.substr(begin) + " ", testing::ContainsRegex("[ ]" + name + "[,)]")) << section.name;
    }
    const std::string known = said.substr(begin, said.find(')', begin) - begin);
    EXPECT_EQ(names.size(), static_cast<std::size_t>(std::count(known.begin(), known.end(), ',')) + 1)
        << section.name << " has keys that are not told of: " << known;
  }
}

TEST(Options, HaveTheRangesThatTheParserTakes) {
  for (const SectionSpec& section : section_specs()) {
    for (const ArgSpec& key : section.keys) {
      if (key.max <= key.min) continue;
      const double step = key.type == ArgType::number ? 0.001 : 1;
      const auto said = [&](double value) {
        return report(with_item(section.name, key.name + ": " + written(value, key.type)));
      };
      EXPECT_THAT(said(key.min), IsEmpty());
      EXPECT_THAT(said(key.max), IsEmpty());
      EXPECT_THAT(said(key.max + step), HasSubstr(key.name + " is "));
      if (key.min > 0 && key.min != step) {
        EXPECT_THAT(said(key.min - step), HasSubstr(key.name + " is "));
      }
    }
  }
}

TEST(Options, AreWrittenAsAFileWouldHaveThem) {
  const auto find = [](const std::vector<OptionSection>& sections, const std::string& section,
                       const std::string& name) {
    for (const OptionSection& each : sections) {
      for (const OptionText& option : each.options) {
        if (each.name == section && option.name == name) return option;
      }
    }
    throw std::runtime_error("no " + name + " in " + section);
  };
  const auto sections = topology_sections();
  EXPECT_EQ(find(sections, "gateway", "max_body_bytes").fallback, "8MiB");
  EXPECT_EQ(find(sections, "gateway", "max_body_bytes").range, "1KiB … 1GiB");
  EXPECT_EQ(find(sections, "cache", "max_ttl").fallback, "1h");
  EXPECT_EQ(find(sections, "cache", "max_ttl").range, "1ms … 720h");
  EXPECT_EQ(find(sections, "cache", "prefix_match_threshold").fallback, "0.8");
  EXPECT_EQ(find(sections, "model", "path").fallback, "required");
  const auto stages = stage_sections(builtin_catalog());
  EXPECT_EQ(find(stages, "scheduler", "max_batch_size").range, "1 … 4096");
  EXPECT_EQ(find(stages, "cache_evictor", "policy").fallback, "lru");
  EXPECT_EQ(find(stages, "cache_tier (impl: rocksdb)", "path").fallback, "required");
}

}  // namespace
}  // namespace headwater::topology
