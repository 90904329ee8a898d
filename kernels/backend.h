#pragma once
// All that the model code knows of the hardware.
#include "kernels/tensor.h"
namespace headwater::kernels {
class Backend;
}
