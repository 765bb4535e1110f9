// The permission to sum in any order.
#pragma once

namespace preimage::nn {

// While one made with `free` lives, products on CUDA of this thread may take whatever algorithm is
// the fastest for their shape, split along K or not, so that a row's bits may depend on how many
// rows stand beside it. The CPU's kernels have no faster order and stay as they are. For work
// without gradients: backward passes run on threads of their own.
class FreeOrder {
 public:
  explicit FreeOrder(bool free);
  ~FreeOrder();
  FreeOrder(const FreeOrder&) = delete;
  FreeOrder& operator=(const FreeOrder&) = delete;
  // Whether one of this thread lives.
  static bool granted();

 private:
  bool before_;
};

}  // namespace preimage::nn
