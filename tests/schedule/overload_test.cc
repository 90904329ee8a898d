// The door, the scheduler and a machine together, under more load than the machine can serve.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tests/support/overload_simulation.h"

namespace headwater::test {
namespace {

constexpr double kBegin = 15, kEnd = 45, kUntil = 50;  // seconds; what is in between counts

struct Work {
  const char* name;
  double prompt, answer;
  double spread = 0;        ///< of a lognormal distribution
  bool ends_early = false;  ///< answers end before max_tokens
};
constexpr Work kWorks[] = {
    {"Chat", 100, 64},       {"LongPrompts", 800, 16},
    {"Mixed", 300, 60, 0.8}, {"MixedThatEndsEarly", 300, 60, 0.8, true},
    {"Short", 50, 4, 0.8},
};

std::vector<Arrival> arrivals(const Work& work, double rate, double limit, bool tells) {
  std::mt19937 random(7);
  std::exponential_distribution<double> gap(rate);
  std::lognormal_distribution<double> factor(-work.spread * work.spread / 2, std::max(work.spread, 1e-9));
  const auto length = [&](double mean, double most) {
    return static_cast<std::uint32_t>(std::clamp(mean * factor(random), 1.0, most));
  };
  std::vector<Arrival> all;
  for (double at = gap(random); at < kUntil; at += gap(random)) {
    Arrival one{.at = at, .prompt = length(work.prompt, 1200), .answer = length(work.answer, 100)};
    one.max_tokens = work.ends_early ? 1024 : one.answer;
    one.limit = limit;
    one.tells = tells;
    all.push_back(one);
  }
  return all;
}

struct Rates {
  double asked = 0, good = 0;  ///< requests a second
  double wasted = 0;           ///< share of those taken that missed their limit
};

Rates measure(const OverloadSimulation::Options& options, const std::vector<Arrival>& all) {
  OverloadSimulation simulation(options);
  const std::vector<Outcome> outcomes = simulation.run(all, kUntil);
  Rates rates;
  double taken = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].at > kBegin && all[i].at < kEnd) ++rates.asked;
    const double end = all[i].at + outcomes[i].finish;
    if (end < kBegin || end > kEnd || outcomes[i].finish == 0) continue;
    ++taken;
    if (outcomes[i].good(all[i])) ++rates.good;
  }
  rates.wasted = taken > 0 ? 1 - rates.good / taken : 0;
  rates.asked /= kEnd - kBegin;
  rates.good /= kEnd - kBegin;
  return rates;
}

/// What the machine serves where enough waits and nobody has a limit.
double capacity(const Work& work) {
  OverloadSimulation::Options options;
  options.door = false;
  options.credit = 96;
  return measure(options, arrivals(work, 90, 0, false)).good;
}

void PrintTo(const Work& work, std::ostream* out) { *out << work.name; }

class Overload : public ::testing::TestWithParam<Work> {};

TEST_P(Overload, LosesNothingOfWhatTheMachineCanServeInTime) {
  const double best = capacity(GetParam());
  for (const double times : {1.5, 3.0, 10.0}) {
    SCOPED_TRACE(std::to_string(times) + " times the load");
    const Rates rates = measure(OverloadSimulation::Options{}, arrivals(GetParam(), best * times, 10, true));
    EXPECT_GE(rates.good, 0.95 * std::min(rates.asked, best));
    EXPECT_LE(rates.wasted, GetParam().ends_early ? 0.2 : 0.1) << "how long an answer gets is not always known";
  }
}

TEST_P(Overload, KeepsTheQueueShortWhereClientsDoNotTellTheirLimits) {
  const double best = capacity(GetParam());
  OverloadSimulation::Options options;
  options.max_wait = 2;
  for (const double times : {1.5, 3.0}) {
    SCOPED_TRACE(std::to_string(times) + " times the load");
    // Without a bound on the wait, 1024 places keep every client waiting for longer than this.
    const Rates rates = measure(options, arrivals(GetParam(), best * times, 20, false));
    EXPECT_GE(rates.good, 0.95 * std::min(rates.asked, best));
  }
}

TEST_P(Overload, RefusesNobodyAtHalfTheLoad) {
  OverloadSimulation::Options options;
  options.max_wait = 2;
  OverloadSimulation simulation(options);
  for (const Outcome& outcome : simulation.run(arrivals(GetParam(), capacity(GetParam()) / 2, 20, true), kUntil)) {
    EXPECT_NE(outcome.kind, Outcome::Kind::refused);
    EXPECT_NE(outcome.kind, Outcome::Kind::late);
  }
}

INSTANTIATE_TEST_SUITE_P(Works, Overload, ::testing::ValuesIn(kWorks),
                         [](const auto& work) { return std::string(work.param.name); });

TEST(OverloadDoor, WithoutItEveryoneIsServedTooLate) {
  OverloadSimulation::Options options;
  options.door = false;
  const Work chat = kWorks[0];
  const Rates rates = measure(options, arrivals(chat, 3 * capacity(chat), 10, true));
  EXPECT_LT(rates.good, 0.5 * capacity(chat)) << "then the other tests mean something";
}

/// Of the tenant's requests: mean seconds until the first token, and the share of them that were taken.
std::pair<double, double> service_of(const std::string& tenant, const std::vector<Arrival>& all) {
  OverloadSimulation::Options options;
  options.max_wait = 2;
  OverloadSimulation simulation(options);
  const std::vector<Outcome> outcomes = simulation.run(all, kUntil);
  double wait = 0, taken = 0, asked = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].tenant != tenant || all[i].at < 5 || all[i].at > kEnd) continue;
    ++asked;
    if (outcomes[i].kind != Outcome::Kind::finished) continue;
    ++taken;
    wait += outcomes[i].first_token;
  }
  return {wait / std::max(taken, 1.0), taken / std::max(asked, 1.0)};
}

TEST(OverloadDoor, LetsALightTenantThroughBesideOneThatFloods) {
  std::vector<Arrival> light = arrivals(kWorks[0], 0.7, 0, false);
  for (Arrival& one : light) one.tenant = "light";
  std::vector<Arrival> both = arrivals(kWorks[0], 60, 0, false);
  for (Arrival& one : both) one.tenant = "flood";
  both.insert(both.end(), light.begin(), light.end());
  std::ranges::sort(both, {}, &Arrival::at);
  const auto [alone, taken_alone] = service_of("light", light);
  const auto [beside, taken_beside] = service_of("light", both);
  const auto [flood, taken_flood] = service_of("flood", both);
  EXPECT_EQ(taken_alone, 1);
  EXPECT_GE(taken_beside, 0.95)
      << "little of the light tenant is refused: where no place of the batch becomes free in 2 s";
  EXPECT_LT(taken_flood, 0.5);
  EXPECT_LT(beside, alone + 0.5) << "a place in the batch, and steps in which others decode";
  EXPECT_LT(beside, flood / 2);
}

TEST(OverloadDoor, TellsWhenToComeAgain) {
  OverloadSimulation simulation(OverloadSimulation::Options{});
  const std::vector<Arrival> all = arrivals(kWorks[0], 40, 10, true);
  for (const Outcome& outcome : simulation.run(all, kUntil)) {
    if (outcome.kind != Outcome::Kind::refused) continue;
    EXPECT_GE(outcome.retry, 1);
    EXPECT_LE(outcome.retry, 30);
  }
}

}  // namespace
}  // namespace headwater::test
