// Renders templates for compare.py. Each line of standard input is {"template": text, "variables": JSON as text, "now":
// seconds}; each line of standard output is {"text": …} or {"error": …}.

#include <iostream>
#include <string>

#include "model/jinja/json_reader.h"
#include "model/jinja/print.h"
#include "model/jinja/template.h"

using namespace headwater;
using namespace headwater::model::jinja;

namespace {

Result<Text> rendered(const Value& job) {
  const auto parsed = Template::parse(job.dict().find("template")->bytes());
  if (!parsed) return parsed.error();
  const auto variables = read_json(job.dict().find("variables")->bytes(), nullptr);
  if (!variables) return variables.error();
  Variables named;
  for (const auto& [name, value] : variables->dict().entries()) named.emplace_back(name.bytes(), value);
  return (*parsed)->render(named, job.dict().find("now")->whole());
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const auto job = read_json(line, nullptr);
    if (!job) {
      std::cerr << job.error().message << "\n";
      return 1;
    }
    const Result<Text> text = rendered(*job);
    Budget budget(Limits{.steps = 1U << 30U});
    const Value key = Value::string(Text(text ? "text" : "error", Origin::written), nullptr);
    const Value value = Value::string(text ? *text : Text(text.error().message, Origin::written), nullptr);
    std::cout << to_json(make_dict({{key, value}}, nullptr), {.ascii = true}, budget).bytes() << std::endl;
  }
  return 0;
}
