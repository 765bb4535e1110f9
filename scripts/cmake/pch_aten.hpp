// Precompiled for every unit that sees torch. Not torch/csrc/autograd/custom_function.h, which a few units include: what
// its inline functions use is instantiated again at the end of every unit, used or not, for 1.5 s each.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
