#include "preimage/base/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "preimage/base/error.hpp"

namespace preimage::base {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct Optim {
  double learning_rate = 0.01;
  std::string kind = "adam";
  void fields(Fields& f) {
    f.add("learning_rate", learning_rate, {.help = "step size", .unit = "1", .min = 0, .max = 10});
    f.add("kind", kind, {.help = "which", .choices = {"adam", "lbfgs"}});
  }
};

struct Job {
  int64_t seed = 0;
  bool fast = false;
  std::string model;
  std::vector<int64_t> k = {4, 8};
  std::vector<double> weights;
  std::vector<std::string> arms = {"a"};
  int64_t threads = 1;
  Optim optim;
  void fields(Fields& f) {
    f.add("seed", seed, {.help = "run seed"});
    f.add("fast", fast, {.help = "give up determinism"});
    f.add("model", model, {.help = "folder of the checkpoint", .required = true});
    f.add("k", k, {.help = "slots", .min = 1, .max = 64});
    f.add("weights", weights, {.help = "weights", .max = 0.99999999});
    f.add("arms", arms, {.help = "arms", .choices = {"a", "b"}});
    f.add("threads", threads, {.help = "threads", .min = 1, .role = FieldRole::placement});
    f.group("optim", optim);
  }
};

ConfigErrors read(Job& job, const std::string& text) {
  auto fields = fields_of(job);
  return read_fields(fields, parse_json(text, "job.json"), "job.json", text);
}

ConfigErrors set(Job& job, const std::string& assignment) {
  auto fields = fields_of(job);
  return set_field(fields, assignment);
}

TEST(Config, ReadsEveryType) {
  Job job;
  EXPECT_THAT(read(job, R"({"seed": 7, "fast": true, "model": "m", "k": [1, 2], "weights": [0, 0.5],
                            "arms": ["b"], "optim": {"learning_rate": 1, "kind": "lbfgs"}})"),
              IsEmpty());
  EXPECT_EQ(job.seed, 7);
  EXPECT_TRUE(job.fast);
  EXPECT_THAT(job.k, ElementsAre(1, 2));
  EXPECT_THAT(job.weights, ElementsAre(0, 0.5));
  EXPECT_THAT(job.arms, ElementsAre("b"));
  EXPECT_EQ(job.optim.learning_rate, 1);
  EXPECT_EQ(job.optim.kind, "lbfgs");
  EXPECT_THAT(read(job, R"({"model": "m", "seed": 3.0, "weights": []})"), IsEmpty());
  EXPECT_EQ(job.seed, 3);
  EXPECT_THAT(read(job, R"({"model": "m", "seed": 9223372036854775807})"), IsEmpty());
  EXPECT_EQ(job.seed, INT64_MAX);
}

TEST(Config, EveryErrorAtOnceInTheOrderOfTheDocument) {
  Job job;
  EXPECT_THAT(read(job,
                   "{\"seeed\": 1,\n\"optim\": {\n\"learnign_rate\": 1, \"kind\": \"sgd\"},\n"
                   "\"kind\": 1,\n\"fast\": 1}"),
              ElementsAre("job.json:1: unknown key \"seeed\" (did you mean \"seed\"?)",
                          "job.json:3: \"optim.kind\": found \"sgd\", expected one of adam, lbfgs",
                          "job.json:3: unknown key \"optim.learnign_rate\" (did you mean "
                          "\"optim.learning_rate\"?)",
                          "job.json:4: unknown key \"kind\" (did you mean \"optim.kind\"?)",
                          "job.json:5: \"fast\": found 1, expected true or false",
                          "job.json: missing key \"model\" (folder of the checkpoint)"));
}

TEST(Config, AnUnknownKeyWithItsGroupInFrontIsComparedWithTheGroups) {
  Job job;
  EXPECT_THAT(read(job, "{\"model\": \"m\", \"optim.learnign_rate\": 1}"),
              ElementsAre("job.json:1: unknown key \"optim.learnign_rate\" (did you mean "
                          "\"optim.learning_rate\"?)"));
  EXPECT_THAT(read(job, "{\"model\": \"m\", \"optim.zzz\": 1}"),
              ElementsAre(AllOf(HasSubstr("unknown key \"optim.zzz\" (valid here: "),
                                HasSubstr("learning_rate"), Not(HasSubstr("model")))));
}

// A field by its path and by nested objects, in either order: not the one that happens to be read
// last.
TEST(Config, AFieldGivenTwiceIsRefused) {
  Job job;
  EXPECT_THAT(
      read(job, "{\"model\": \"m\",\n\"optim.kind\": \"adam\",\n\"optim\": {\"kind\": \"lbfgs\"}}"),
      ElementsAre("job.json:3: \"optim.kind\": given twice, first in line 2; keep one"));
  EXPECT_THAT(
      read(job, "{\"model\": \"m\",\n\"optim\": {\"kind\": \"lbfgs\"},\n\"optim.kind\": 1}"),
      ElementsAre("job.json:3: \"optim.kind\": given twice, first in line 2; keep one",
                  "job.json:3: \"optim.kind\": found 1, expected a string"));
  // By its path alone it is one, and an error in it has its line.
  EXPECT_THAT(read(job, "{\"model\": \"m\",\n\"optim.kind\": \"lbfgs\"}"), IsEmpty());
  EXPECT_EQ(job.optim.kind, "lbfgs");
  EXPECT_THAT(
      read(job, "{\"model\": \"m\",\n\"optim.kind\": \"sgd\"}"),
      ElementsAre("job.json:2: \"optim.kind\": found \"sgd\", expected one of adam, lbfgs"));
  // Without its text there are no lines.
  auto fields = fields_of(job);
  EXPECT_THAT(
      read_fields(fields, {{"model", "m"}, {"optim.kind", "adam"}, {"optim", {{"kind", "adam"}}}},
                  "here"),
      ElementsAre("here: \"optim.kind\": given twice; keep one"));
}

TEST(Config, TypesAndRanges) {
  const auto error = [](const std::string& entry) {
    Job job;
    const auto errors = read(job, "{\"model\": \"m\", " + entry + "}");
    return errors.size() == 1 ? errors[0] : std::to_string(errors.size()) + " errors";
  };
  EXPECT_THAT(error("\"optim\": {\"learning_rate\": -1}"),
              HasSubstr("\"optim.learning_rate\": found -1, expected a number from 0 to 10"));
  EXPECT_THAT(error("\"threads\": 0"), HasSubstr("expected an integer at least 1"));
  EXPECT_THAT(error("\"k\": [1, 65]"), HasSubstr("found 65, expected an integer from 1 to 64"));
  EXPECT_THAT(error("\"weights\": [1]"),
              HasSubstr("found 1, expected a number at most 0.99999999"));
  EXPECT_THAT(error("\"k\": 4"), HasSubstr("expected a list, each element an integer"));
  EXPECT_THAT(error("\"k\": [[4]]"), HasSubstr("found array, expected an integer"));
  EXPECT_THAT(error("\"arms\": [\"c\"]"), HasSubstr("one of a, b"));
  EXPECT_THAT(error("\"seed\": 1.5"), HasSubstr("found 1.5, expected an integer"));
  EXPECT_THAT(error("\"seed\": 1e300"), HasSubstr("expected an integer"));
  EXPECT_THAT(error("\"seed\": 9223372036854775808"), HasSubstr("an integer of 64 bits"));
  EXPECT_THAT(error("\"seed\": \"1\""), HasSubstr("found \"1\", expected an integer"));
  EXPECT_THAT(error("\"seed\": null"), HasSubstr("found null"));
  EXPECT_THAT(error("\"optim\": 3"), HasSubstr("found 3, expected an object"));
  EXPECT_THAT(error("\"fast\": \"" + std::string(5000, 'x') + "\""), HasSubstr("xxx..., expected"));
  Job job;
  EXPECT_THAT(read(job, "[]"), ElementsAre("job.json: found array, expected an object"));
}

TEST(Config, Set) {
  Job job;
  EXPECT_THAT(set(job, "optim.learning_rate=0.5"), IsEmpty());
  EXPECT_EQ(job.optim.learning_rate, 0.5);
  EXPECT_THAT(set(job, "model=a=b"), IsEmpty());
  EXPECT_EQ(job.model, "a=b");
  EXPECT_THAT(set(job, "model=12"), IsEmpty());  // text where text is wanted
  EXPECT_EQ(job.model, "12");
  EXPECT_THAT(set(job, "model=\"q\""), IsEmpty());
  EXPECT_EQ(job.model, "q");
  EXPECT_THAT(set(job, "k=[3]"), IsEmpty());
  EXPECT_THAT(job.k, ElementsAre(3));
  EXPECT_THAT(set(job, "fast=true"), IsEmpty());
  EXPECT_TRUE(job.fast);
  EXPECT_THAT(set(job, "optim.learnign_rate=1"),
              ElementsAre(HasSubstr("did you mean \"optim.learning_rate\"?")));
  EXPECT_THAT(set(job, "optim=1"),
              ElementsAre("--set optim=1: \"optim\" is a group of fields, not a field; set "
                          "optim.kind or optim.learning_rate"));
  EXPECT_THAT(set(job, "seed"), ElementsAre(HasSubstr("expected room.field=value")));
  EXPECT_THAT(set(job, "seed=x"), ElementsAre(HasSubstr("found \"x\", expected an integer")));
  EXPECT_THAT(set(job, "optim.learning_rate=NaN"), ElementsAre(HasSubstr("expected a number")));
  EXPECT_THAT(set(job, "optim.kind=\xff"), ElementsAre(HasSubstr("not valid UTF-8")));
}

TEST(Config, IdentityLeavesPlacementOut) {
  Job job;
  auto fields = fields_of(job);
  EXPECT_TRUE(to_json(fields).contains("threads"));
  EXPECT_FALSE(identity_json(fields).contains("threads"));
  EXPECT_EQ(identity_json(fields)["optim"]["kind"], "adam");
  // What is written can be read again.
  job.optim.learning_rate = 0.25, job.model = "m", job.threads = 3;
  Job again;
  EXPECT_THAT(read(again, to_json(fields).dump()), IsEmpty());
  auto fields_again = fields_of(again);
  EXPECT_EQ(to_json(fields_again), to_json(fields));
}

TEST(Config, SchemaAndHelp) {
  Job job;
  auto fields = fields_of(job);
  const auto schema = schema_of(fields);
  EXPECT_EQ(schema["required"], Json::array({"model"}));
  EXPECT_EQ(schema["additionalProperties"], false);
  const auto& optim = schema["properties"]["optim"];
  EXPECT_EQ(optim["additionalProperties"], false);
  EXPECT_EQ(optim["properties"]["learning_rate"], (Json{{"type", "number"},
                                                        {"minimum", 0.0},
                                                        {"maximum", 10.0},
                                                        {"default", 0.01},
                                                        {"description", "step size [1]"}}));
  EXPECT_EQ(schema["properties"]["k"]["items"]["type"], "integer");
  EXPECT_FALSE(schema["properties"]["model"].contains("default"));
  EXPECT_THAT(help_of(fields),
              HasSubstr("optim.learning_rate = 0.01 1: step size (from 0 to 10)\n"));
  EXPECT_THAT(help_of(fields), HasSubstr("threads = 1: threads (at least 1) [placement]\n"));
  EXPECT_THAT(help_of(fields), HasSubstr("model (required): "));
}

TEST(Config, AFieldIsNamedOnce) {
  struct Twice {
    int64_t x = 0;
    void fields(Fields& f) {
      f.add("x", x, {});
      f.add("x", x, {});
    }
  } twice;
  EXPECT_THROW(fields_of(twice), Error);
  EXPECT_NO_THROW(throw_if_any({}));
  try {
    throw_if_any({"one", "two"});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_config);
    EXPECT_STREQ(error.what(), "one\ntwo");
  }
}

}  // namespace
}  // namespace preimage::base
