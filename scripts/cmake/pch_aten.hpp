// Precompiled for every unit that sees torch. Not torch/csrc/autograd/custom_function.h, which a few
// units include: the templates that its inline functions use are instantiated at the end of every
// unit that sees them, for 1.5 s each.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
