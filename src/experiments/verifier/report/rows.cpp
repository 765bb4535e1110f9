#include "report/rows.hpp"

namespace preimage::verifier {
namespace {

constexpr store::ColumnText kProblem = {"", "id of the problem in its set"};
constexpr store::ColumnText kCandidate = {"", "number of the candidate within its problem, from 0"};
constexpr store::ColumnText kArm = {"",
                                    "ouroboros, generator or likelihood; empty: needs no training"};
constexpr store::ColumnText kLoss = {"", "training loss"};
constexpr store::ColumnText kProgram = {"", "program taken from the completion"};
constexpr store::ColumnText kNormalForm = {"", "equal for programs that differ in layout alone"};
constexpr store::ColumnText kOutputs = {
    "", "what it gives on the prompt's example calls (test problems)"};
constexpr store::ColumnText kTokens = {"tokens", "length of the completion; 0: not generated here"};
constexpr store::ColumnText kLogprob = {"nats", "log-probability of the completion"};
constexpr store::ColumnText kStop = {"", "why the completion ended: eos, stop or length"};
constexpr store::ColumnText kVerdict = {"", "of the sandbox; empty where labels came from a file"};
constexpr store::ColumnText kCpu = {"s", "processor time of its run", true};
constexpr store::ColumnText kDetail = {"", "what the sandbox saw", true};
constexpr store::ColumnText kShown = {
    "", "1: passes the assertions that the generator's prompt shows, 0: does not, -1: not tried"};
constexpr store::ColumnText kSplit = {"", "train, validation or test"};

}  // namespace

void ProblemRow::columns(Columns& c) const {
  c.add("problem_id", problem_id, kProblem);
  c.add("split", split, kSplit);
  c.add("group", group, {"", "family of the problem, where the set has any"});
  c.add("prompt", prompt, {"", "what the verifier reads of the problem"});
  c.add("candidates", candidates, {"candidates", "programs with a verdict"});
  c.add("passing", passing, {"candidates", "of these, the ones that pass"});
  c.add("infra", infra, {"candidates", "programs that could not be judged: left out"});
  c.add("distinct_passing", distinct_passing, {"programs", "different ones that pass"});
  c.add("distinct_failing", distinct_failing, {"programs", "different ones that fail"});
  c.add("duplicates", duplicates, {"candidates", "equal to an earlier one but for layout"});
  c.add("contradictions", contradictions, {"programs", "both passed and failed: not trained on"});
  c.add("ranked", ranked, {"", "train problem with a passing and a failing program"});
}

void ProgramRow::columns(Columns& c) const {
  c.add("problem_id", problem_id, kProblem);
  c.add("candidate", candidate, kCandidate);
  c.add("program", program, kProgram);
  c.add("normal_form", normal_form, kNormalForm);
  c.add("outputs", outputs, kOutputs);
  c.add("tokens", tokens, kTokens);
  c.add("logprob_sum", logprob_sum, kLogprob);
  c.add("stop", stop, kStop);
  c.add("verdict", verdict, kVerdict);
  c.add("cpu_s", cpu_s, kCpu);
  c.add("detail", detail, kDetail);
  c.add("passes_shown", passes_shown, kShown);
}

void CandidateRow::columns(Columns& c) const {
  c.add("problem_id", problem_id, kProblem);
  c.add("split", split, kSplit);
  c.add("candidate", candidate, kCandidate);
  c.add("program", program, kProgram);
  c.add("tokens", tokens, kTokens);
  c.add("logprob_sum", logprob_sum, kLogprob);
  c.add("logprob_mean", logprob_mean, {"nats/token", "the same for each token"});
  c.add("stop", stop, kStop);
  c.add("verdict", verdict, kVerdict);
  c.add("normal_form", normal_form, kNormalForm);
  c.add("outputs", outputs, kOutputs);
  c.add("energy", energy,
        {"", "mean over training seeds, of the arm and loss with the best validation"});
  c.add("truncated", truncated, {"", "prompt or program was too long for the verifier"});
  c.add("cpu_s", cpu_s, kCpu);
  c.add("detail", detail, kDetail);
  c.add("passes", passes, {"", "its label"});
  c.add("passes_shown", passes_shown, kShown);
}

void EnergyRow::columns(Columns& c) const {
  c.add("seed", seed, {"", "number of the training, from 0"});
  c.add("arm", arm, kArm);
  c.add("loss", loss, kLoss);
  c.add("problem_id", problem_id, kProblem);
  c.add("candidate", candidate, kCandidate);
  c.add("energy", energy, {"", "low where the program should pass"});
  c.add("energy_blind", energy_blind,
        {"", "the same behind the prompt of another problem; NaN outside test"});
}

void PairRow::columns(Columns& c) const {
  c.add("problem_id", problem_id, kProblem);
  c.add("positive", positive, {"", "candidate that passes"});
  c.add("negative", negative, {"", "candidate that fails"});
  c.add("hard", hard, {"", "chosen as one of the nearest by edit distance"});
  c.add("weight", weight, {"", "of its group of pairs; groups of a problem add up to 1"});
}

void TrainingRow::columns(Columns& c) const {
  c.add("arm", arm, kArm);
  c.add("loss", loss, kLoss);
  c.add("seed", seed, {"", "number of the training, from 0"});
  c.add("step", step, {"steps", "optimiser step, from 0"});
  c.add("epoch", epoch, {"epochs", "passes over all distinct passing candidates so far"});
  c.add("training_loss", training_loss, {"", "of the step, weighted mean over groups"});
  c.add("pair_accuracy", pair_accuracy, {"", "share of the step's pairs in the right order"});
  c.add("gradient_norm", gradient_norm, {"", "Euclidean norm before clipping"});
  c.add("learning_rate", learning_rate, {"", "of this step"});
  c.add("validation_accuracy", validation_accuracy,
        {"", "pairwise accuracy, mean over validation problems; NaN: not measured"});
  c.add("best", best, {"", "the step whose parameters are used"});
  c.add("pairs_per_s", pairs_per_s, {"pairs/s", "over wall time", true});
}

void SelectionRow::columns(Columns& c) const {
  c.add("selector", selector,
        {"", "verifier, verifier_mean (energies averaged over seeds), prompt_blind or a control"});
  c.add("arm", arm, kArm);
  c.add("loss", loss, kLoss);
  c.add("seed", seed, {"", "number of the training; -1: none, or the mean over them"});
  c.add("problem_id", problem_id, kProblem);
  c.add("candidate", candidate, {"", "the chosen one"});
  c.add("cost", cost, {"", "what was minimised: energy, or the control's"});
  c.add("passes", passes, {"", "whether it passes"});
  c.add("passing", passing, {"candidates", "passing candidates of the problem"});
  c.add("candidates", candidates, {"candidates", "all candidates of the problem"});
}

void MetricRow::columns(Columns& c) const {
  c.add("subset", subset, {"", "all test problems, or mixed: some candidates pass and some fail"});
  c.add("selector", selector,
        {"", "random, oracle, a control, verifier, verifier_mean, prompt_blind"});
  c.add("arm", arm, kArm);
  c.add("loss", loss, kLoss);
  c.add("metric", metric, {"", "pass_at_1, minus_random, gap_recovered, pairwise_accuracy, ..."});
  c.add("value", value.estimate, {"", "mean over problems and seeds"});
  c.add("low", value.low,
        {"", "lower end of the 95 % interval: bootstrap over problems and seeds, or Wilson's"});
  c.add("high", value.high, {"", "upper end"});
  c.add("problems", problems, {"problems", "test problems behind it"});
  c.add("seeds", seeds, {"", "trainings behind it; 0: none, or their mean energies"});
}

store::Schemas verifier_schemas() {
  using store::schema_columns;
  store::Schemas out;
  out.tables = {
      {table::problems, "One row for each problem", schema_columns<ProblemRow>()},
      {table::programs, "One row for each written program", schema_columns<ProgramRow>(), 1,
       /*intermediate=*/true},
      {table::candidates, "One row for each judged candidate", schema_columns<CandidateRow>(), 2},
      {table::energies, "Energy of each candidate under each training",
       schema_columns<EnergyRow>()},
      {table::pairs, "Pairs of the first epoch", schema_columns<PairRow>()},
      {table::training, "One row for each step of each training", schema_columns<TrainingRow>()},
      {table::selection, "What each selector chose for each test problem",
       schema_columns<SelectionRow>()},
      {table::metrics, "What selections and energies are worth", schema_columns<MetricRow>()}};
  out.tensors = {{tensor::inputs,
                  "Token ids that arm ouroboros read, one item for each row of verifier/candidates;"
                  " present where asked for",
                  "",
                  {"candidate", "token"},
                  store::Type::i64}};
  return out;
}

}  // namespace preimage::verifier
