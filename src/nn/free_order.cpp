#include "preimage/nn/free_order.hpp"

namespace preimage::nn {
namespace {

thread_local bool free_order = false;

}  // namespace

FreeOrder::FreeOrder(bool free) : before_(free_order) {
  free_order = before_ || free;
}
FreeOrder::~FreeOrder() {
  free_order = before_;
}
bool FreeOrder::granted() {
  return free_order;
}

}  // namespace preimage::nn
