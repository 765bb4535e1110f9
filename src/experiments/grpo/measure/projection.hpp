// How far a gradient points along the directions, and what is left when that part is taken out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "directions.hpp"

namespace preimage::grpo {

enum class Gate {
  one_sided,  // removes what makes the hack more likely: relu(c)
  no_gate,    // both sides: c
  reverse,    // turns it around: 2 c
};

struct ProjectionOptions {
  Gate gate = Gate::one_sided;
  double overshoot = 1;             // times of the removed part
  bool preserve_magnitude = false;  // rescales what is left to the length before
};

// One gradient against the directions. Modules whose gradient is zero have no cosine and count in
// none of the means. NaN where no module has a gradient.
struct Alignment {
  // |relu(V g)| / |g|, never negative; <g, d> / (|g| |d|) with d the mean of the pairs' gradients.
  double cos_in = 0, cos_sgn = 0;                // unweighted means over modules
  double cos_in_global = 0, cos_sgn_global = 0;  // all modules as one vector
  double frac_fired = 0;  // modules with cos_in > 1e-6, of all that have directions
  double norm = 0;        // of the kept modules together
};
Alignment align(std::span<const float> gradient, const Directions& directions);

// What the means are made of: the sums of one module.
struct AlignmentParts {
  double squares = 0;   // |g|^2
  double pulled = 0;    // |relu(V g)|^2
  double along = 0;     // <g, d>
  double contrast = 0;  // |d|^2
};
AlignmentParts alignment_parts(std::span<const float> gradient, const ModuleDirections& module);
Alignment combine(std::span<const AlignmentParts> modules);

// Of one module; NaN where the gradient is zero.
struct ModuleAlignment {
  double cos_in = 0, cos_sgn = 0, norm = 0;
};
ModuleAlignment align_module(std::span<const float> gradient, const ModuleDirections& module);

// c = V g of one module [k].
std::vector<double> coefficients(std::span<const float> gradient, const ModuleDirections& module);

struct Projected {
  Alignment after;  // cos_in of it is cos_out
  // An axis that pulled towards the hack before and away from it afterwards: an overshoot above 1,
  // or directions that are not orthonormal.
  bool over_projected = false;
};
// Removes in place; knobs of modules without directions are left. With orthonormal rows, one_sided
// and overshoot 1, cos_out is 0 by construction: a check of the code, and no evidence.
Projected project(std::span<float> gradient, const Directions& directions,
                  const ProjectionOptions& options);

// What the optimiser did against what the gradient was projected for: the update is `after` -
// `before` less the decoupled decay, and its negative is measured as a loss gradient would be.
struct Update {
  std::span<const float> before, after;
  double decay = 0;  // learning rate times weight decay: that share of `before` was subtracted
};
// cos_in of it is the leak |relu(V(-D))| / |D|.
Alignment leak(const Update& update, const Directions& directions);

}  // namespace preimage::grpo
