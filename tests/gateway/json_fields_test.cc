#include "gateway/json_fields.h"

#include <gtest/gtest.h>

namespace headwater::gateway {
namespace {

/// The error of reading `text` by `read`.
template <class F>
Error error_of(const char* text, F read) {
  const Json object = Json::parse(text);
  Fields fields(object, "params.");
  read(fields);
  const auto result = fields.finish();
  return result ? Error{} : result.error();
}

TEST(JsonFields, ReadsWhatIsThereAndLeavesTheRestAlone) {
  const Json object = Json::parse(R"({"b": true, "s": "x", "f": 0.5, "u": 7, "ids": [1, 2], "gone": null})");
  Fields fields(object);
  bool b = false;
  std::string s, gone = "kept";
  float f = 0;
  std::uint32_t u = 0;
  std::optional<std::uint32_t> absent;
  std::vector<TokenId> ids;
  fields.read("b", b);
  fields.read("s", s);
  fields.read("gone", gone);
  fields.read("f", f, Range{0, 1});
  fields.read("u", u, 0, 10);
  fields.read("absent", absent, 0, 10);
  fields.read("ids", ids, 10);
  ASSERT_TRUE(fields.finish().ok());
  EXPECT_TRUE(b);
  EXPECT_EQ(s, "x");
  EXPECT_EQ(gone, "kept");
  EXPECT_EQ(f, 0.5F);
  EXPECT_EQ(u, 7U);
  EXPECT_FALSE(absent.has_value());
  EXPECT_EQ(ids, (std::vector<TokenId>{1, 2}));
}

TEST(JsonFields, NamesTheFieldOfAWrongTypeByItsPath) {
  const auto read = [](Fields& fields) {
    bool b = false;
    fields.read("b", b);
  };
  EXPECT_EQ(error_of(R"({"b": "yes"})", read).param, "params.b");
  EXPECT_EQ(error_of(R"({"b": "yes"})", read).message, "\"params.b\" must be true or false, and is a string");
  EXPECT_EQ(error_of(R"({"b": {}})", read).message, "\"params.b\" must be true or false, and is an object");
}

TEST(JsonFields, RefusesNumbersOutOfRangeHoweverTheyAreWritten) {
  const auto read = [](Fields& fields) {
    std::uint32_t u = 0;
    fields.read("u", u, 1, 1000);
  };
  for (const char* text : {R"({"u": 0})", R"({"u": -1})", R"({"u": 1001})", R"({"u": 4294967297})", R"({"u": 1.5})",
                           R"({"u": 1e300})", R"({"u": 99999999999999999999999})", R"({"u": -9223372036854775808})",
                           R"({"u": "5"})", R"({"u": true})", R"({"u": [5]})"}) {
    EXPECT_EQ(error_of(text, read).param, "params.u") << text;
  }
  EXPECT_EQ(error_of(R"({"u": 1000})", read).code, ErrorCode::none);
}

TEST(JsonFields, ChecksBothEndsOfARange) {
  const auto read = [](Fields& fields) {
    float f = 0;
    fields.read("f", f, Range{0, 1, true});
  };
  for (const char* text : {R"({"f": 0})", R"({"f": 1e-300})", R"({"f": 1.0001})", R"({"f": 1e300})", R"({"f": -1})"}) {
    EXPECT_EQ(error_of(text, read).param, "params.f") << text;
  }
  EXPECT_EQ(error_of(R"({"f": 1})", read).code, ErrorCode::none);
}

TEST(JsonFields, KeepsAll64BitsOfASeed) {
  const auto seed = [](const char* text) {
    const Json object = Json::parse(text);
    Fields fields(object);
    std::optional<std::uint64_t> bits;
    fields.read_bits("seed", bits);
    return fields.finish() ? bits : std::nullopt;
  };
  EXPECT_EQ(seed(R"({"seed": 18446744073709551615})"), 18446744073709551615ULL);
  EXPECT_EQ(seed(R"({"seed": -1})"), 18446744073709551615ULL);
  EXPECT_FALSE(seed(R"({"seed": 18446744073709551616})").has_value());
  EXPECT_FALSE(seed(R"({"seed": 1.5})").has_value());
}

TEST(JsonFields, RefusesListsOfIdsThatAreTooLongOrNoIds) {
  const auto read = [](Fields& fields) {
    std::vector<TokenId> ids;
    fields.read("ids", ids, 3);
  };
  EXPECT_EQ(error_of(R"({"ids": [1, -2]})", read).param, "params.ids[1]");
  EXPECT_EQ(error_of(R"({"ids": [2147483648]})", read).param, "params.ids[0]");
  EXPECT_EQ(error_of(R"({"ids": [1, 2, 3, 4]})", read).param, "params.ids");
  EXPECT_EQ(error_of(R"({"ids": "1"})", read).param, "params.ids");
}

TEST(JsonFields, NamesAnUnknownFieldAndTheOneThatWasMeant) {
  const auto read = [](Fields& fields) { fields.accept({"temperature", "top_p"}); };
  const Error error = error_of(R"({"temprature": 1})", read);
  EXPECT_EQ(error.code, ErrorCode::unknown_parameter);
  EXPECT_EQ(error.param, "params.temprature");
  EXPECT_EQ(error.message, "unknown field \"params.temprature\" (did you mean \"params.temperature\"?)");
  EXPECT_EQ(error_of(R"({"zzz": 1})", read).message, "unknown field \"params.zzz\"");
}

TEST(JsonFields, RefusesByNameWhatWouldChangeTheAnswer) {
  const auto read = [](Fields& fields) { fields.refuse({"tools"}); };
  EXPECT_EQ(error_of(R"({"tools": [{"type": "function"}]})", read).code, ErrorCode::unsupported_parameter);
  EXPECT_EQ(error_of(R"({"tools": [{"type": "function"}]})", read).param, "params.tools");
  EXPECT_EQ(error_of(R"({"tools": null})", read).code, ErrorCode::none);
  EXPECT_EQ(error_of(R"({"tools": []})", read).code, ErrorCode::none);
  EXPECT_EQ(error_of(R"({"tools": ""})", read).code, ErrorCode::none);
  EXPECT_EQ(error_of(R"({"tools": 0})", read).code, ErrorCode::unsupported_parameter);
}

TEST(JsonFields, IgnoresWhatIsUnknownWhereAskedToAndSaysWhat) {
  const Json object = Json::parse(R"({"temprature": 1, "zzz": 2, "inner": [{"odd": 3}, {"odd": 4}]})");
  IgnoredFields ignored;
  Fields fields(object, "", &ignored);
  float temperature = 0;
  fields.read("temperature", temperature, Range{0, 1});
  const Json* list = fields.value("inner");
  for (std::size_t i = 0; i < 2; ++i) {
    Fields inner = fields.nested("inner[" + std::to_string(i) + "]", (*list)[i]);
    EXPECT_TRUE(inner.finish().ok());
  }
  EXPECT_TRUE(fields.finish().ok());
  ASSERT_EQ(ignored.fields.size(), 4U);
  EXPECT_EQ(ignored.fields[0].name, "inner[].odd");
  EXPECT_EQ(ignored.fields[1].name, "inner[].odd");
  EXPECT_EQ(ignored.fields[2].name, "temprature");
  EXPECT_EQ(ignored.fields[2].meant, "temperature");
  EXPECT_EQ(ignored.fields[3].meant, "");
}

TEST(JsonFields, RemembersFewAndShortNamesOfManyLongUnknownOnes) {
  Json object = Json::object();
  for (int i = 0; i < 1000; ++i) {
    std::string name(1000, 'x');
    name += std::to_string(i);
    object[name] = i;
  }
  IgnoredFields ignored;
  Fields fields(object, "", &ignored);
  EXPECT_TRUE(fields.finish().ok());
  EXPECT_EQ(ignored.fields.size(), IgnoredFields::kMost);
  EXPECT_EQ(ignored.fields[0].name.size(), IgnoredFields::kMostBytes);
}

TEST(JsonFields, StillRefusesMistakesWhereUnknownFieldsAreIgnored) {
  const Json object = Json::parse(R"({"n": "x", "zzz": 2})");
  IgnoredFields ignored;
  Fields fields(object, "", &ignored);
  std::uint32_t n = 0;
  fields.read("n", n, 0, 9);
  EXPECT_FALSE(fields.finish().ok());
}

TEST(JsonFields, TakesTheFirstOfSeveralNamesForOneThing) {
  const auto read = [](const char* text) {
    const Json object = Json::parse(text);
    Fields fields(object);
    std::uint32_t n = 0;
    fields.read(fields.first_of({"first", "second"}), n, 0, 9);
    const auto done = fields.finish();
    return done ? std::to_string(n) : done.error().param;
  };
  EXPECT_EQ(read(R"({"second": 2})"), "2");
  EXPECT_EQ(read(R"({"second": 2, "first": 1})"), "1");
  EXPECT_EQ(read(R"({"second": 2, "first": null})"), "2");
  EXPECT_EQ(read(R"({"second": 10})"), "second") << "an error names what was sent";
  EXPECT_EQ(read("{}"), "0");
}

TEST(JsonFields, RefusesAFieldButForTheValuesThatAskForNothing) {
  const auto read = [](Fields& fields) {
    fields.refuse_other_than("tfs_z", {1});
    fields.refuse_other_than("top_n_sigma", {0, -1});
    fields.refuse_other_than("skip_special_tokens", {true});
  };
  EXPECT_EQ(error_of(R"({"tfs_z": 1.0, "top_n_sigma": -1, "skip_special_tokens": true})", read).code, ErrorCode::none);
  EXPECT_EQ(error_of(R"({"tfs_z": 0.5})", read).message,
            "\"params.tfs_z\" is not supported by this server; leave it out, or send 1");
  EXPECT_EQ(error_of(R"({"top_n_sigma": 1})", read).code, ErrorCode::unsupported_parameter);
  EXPECT_EQ(error_of(R"({"skip_special_tokens": false})", read).code, ErrorCode::unsupported_parameter);
}

TEST(JsonFields, KeepsTheFirstMistake) {
  const Error error = error_of(R"({"a": 1, "b": 2, "c": 3})", [](Fields& fields) {
    bool a = false, b = false;
    fields.read("a", a);
    fields.read("b", b);
  });
  EXPECT_EQ(error.param, "params.a");
}

}  // namespace
}  // namespace headwater::gateway
