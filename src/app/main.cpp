#include "app.hpp"

int main(int argc, char** argv) {
  return preimage::app::main(argc, argv);
}
