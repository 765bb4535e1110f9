# The imported target preimage::torch, made from the PyPI wheel.
#
# find_package(Torch) of a CUDA wheel demands a CUDA toolkit even for a CPU build, so the target is
# written out here. The wheel's include folder also carries fmt and protobuf headers that shadow the
# distribution's; -idirafter puts it behind every other folder.

set(PREIMAGE_TORCH_ROOT "" CACHE PATH "Folder of the torch wheel (holds include/ and lib/)")
if(NOT PREIMAGE_TORCH_ROOT)
  file(GLOB candidates "${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")
  if(NOT candidates)
    message(FATAL_ERROR "No torch wheel under .venv: run scripts/setup.sh, or pass -DPREIMAGE_TORCH_ROOT=DIR")
  endif()
  list(GET candidates 0 PREIMAGE_TORCH_ROOT)
endif()
if(NOT EXISTS "${PREIMAGE_TORCH_ROOT}/include/ATen/ATen.h")
  message(FATAL_ERROR "${PREIMAGE_TORCH_ROOT} holds no include/ATen/ATen.h: run scripts/setup.sh")
endif()

get_filename_component(site "${PREIMAGE_TORCH_ROOT}" DIRECTORY)
set(torch_lib "${PREIMAGE_TORCH_ROOT}/lib")
file(GLOB nvidia_lib "${site}/nvidia/*/lib" "${site}/nvidia/cu13/lib")

add_library(preimage_torch INTERFACE)
add_library(preimage::torch ALIAS preimage_torch)
# -fopenmp: without it at::parallel_for in our own units is silently serial.
target_compile_options(preimage_torch INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-idirafter ${PREIMAGE_TORCH_ROOT}/include>"
  "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-idirafter ${PREIMAGE_TORCH_ROOT}/include/torch/csrc/api/include>"
  "$<$<COMPILE_LANGUAGE:CXX>:-fopenmp>"
  # nvcc's host compiler also preprocesses the device code.
  "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-fopenmp,-idirafter,${PREIMAGE_TORCH_ROOT}/include>")
# The linker is named the wheel's own libgomp, so that only one OpenMP runtime is loaded.
target_link_libraries(preimage_torch INTERFACE
  "${torch_lib}/libtorch_cpu.so" "${torch_lib}/libc10.so" "${torch_lib}/libgomp.so.1")
# ignore-in-shared-libs: the CUDA wheels' own dependencies are looked up when the program starts.
target_link_options(preimage_torch INTERFACE -Wl,--unresolved-symbols=ignore-in-shared-libs
  "-Wl,-rpath,${torch_lib}")
foreach(dir IN LISTS nvidia_lib)
  target_link_options(preimage_torch INTERFACE "-Wl,-rpath,${dir}")
endforeach()

if(PREIMAGE_CUDA)
  target_compile_definitions(preimage_torch INTERFACE PREIMAGE_CUDA=1)
  # enable-new-dtags: a RUNPATH, which LD_LIBRARY_PATH overrides on a machine whose torch lies elsewhere.
  target_link_options(preimage_torch INTERFACE -Wl,--no-as-needed -Wl,--enable-new-dtags)
  target_link_libraries(preimage_torch INTERFACE
    "${torch_lib}/libtorch_cuda.so" "${torch_lib}/libc10_cuda.so" CUDA::cudart CUDA::cublasLt)
endif()
