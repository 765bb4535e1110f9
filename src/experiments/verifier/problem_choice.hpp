// Which problems of a file a run uses: the same rules for published sets and for files of labelled
// programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config.hpp"
#include "preimage/base/random.hpp"

namespace preimage::verifier {

enum class Split { train, validation, test };
const char* split_name(Split split);

// A problem as far as the choice looks at it.
struct ProblemText {
  size_t index = 0;  // in the caller's list
  std::string id;
  std::optional<Split> split;  // nothing: not used
  std::string text;            // of the task, for leaks
};

// Takes out the ids of data.exclude. ExitCode::bad_data for one that is not there.
void leave_out_named(std::vector<ProblemText>& problems, const DataConfig& config,
                     std::vector<std::string>& notes);
// Takes out problems whose text is nearly that of one of another split (data.leak_limit); of the
// two, the one that is not tested on.
void leave_out_leaks(std::vector<ProblemText>& problems, double limit,
                     std::vector<std::string>& notes);
// Train, validation and test, each in the order of the file, with the limits of the config.
std::vector<ProblemText> limited(const std::vector<ProblemText>& problems,
                                 const DataConfig& config);
// `share` of the train problems becomes validation, by a permutation drawn from `random`, unless
// there are validation problems already.
void split_validation(std::vector<ProblemText>& problems, double share,
                      const base::RandomStream& random);
// The counts of the splits, for the log. ExitCode::bad_data, naming `place`, for a split without a
// problem.
std::string count_splits(const std::vector<ProblemText>& problems, const std::string& place);

}  // namespace preimage::verifier
