#include "topology/options.h"

#include "topology/document.h"
#include "topology/sections.h"
#include "topology/values.h"

namespace headwater::topology {
namespace {

std::string type_text(ArgType type) {
  switch (type) {
    case ArgType::integer:
      return "whole number";
    case ArgType::number:
      return "number";
    case ArgType::boolean:
      return "true or false";
    case ArgType::size:
      return "size";
    case ArgType::size_or_share:
      return "size or share";
    case ArgType::duration:
      return "time";
    default:
      return "text";
  }
}

std::string value_text(const ArgValue& value, ArgType type) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    if (type == ArgType::size) return size_text(static_cast<std::uint64_t>(*whole));
    if (type == ArgType::duration) return duration_text(static_cast<double>(*whole));
    return std::to_string(*whole);
  }
  if (const auto* number = std::get_if<double>(&value)) return number_text(*number);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* size = std::get_if<SizeOrShare>(&value)) {
    return size->bytes > 0 ? size_text(size->bytes) : number_text(size->share);
  }
  const std::string& text = std::get<std::string>(value);
  return text.empty() ? "–" : text;
}

std::string end_text(double end, ArgType type) {
  if (type == ArgType::size) return size_text(static_cast<std::uint64_t>(end));
  return type == ArgType::duration ? duration_text(end) : number_text(end);
}

OptionText option(const ArgSpec& spec) {
  OptionText option{spec.name, type_text(spec.type), value_text(spec.fallback, spec.type), "", spec.help};
  if (spec.type == ArgType::choice) option.range = join(spec.choices);
  if (spec.max > spec.min) option.range = end_text(spec.min, spec.type) + " … " + end_text(spec.max, spec.type);
  if (spec.required) option.fallback = "required";
  return option;
}

}  // namespace

std::vector<OptionSection> topology_sections() {
  std::vector<OptionSection> sections;
  for (const SectionSpec& section : section_specs()) {
    OptionSection texts{section.name, section.help, {}};
    for (const ArgSpec& spec : section.keys) texts.options.push_back(option(spec));
    sections.push_back(std::move(texts));
  }
  return sections;
}

std::vector<OptionSection> stage_sections(const StageCatalog& catalog) {
  std::vector<OptionSection> sections;
  for (const StageInfo& info : catalog.all()) {
    if (info.args.empty()) continue;
    OptionSection texts{info.impl == "default" ? info.kind : info.kind + " (impl: " + info.impl + ")", "", {}};
    for (const ArgSpec& spec : info.args) texts.options.push_back(option(spec));
    sections.push_back(std::move(texts));
  }
  return sections;
}

}  // namespace headwater::topology
