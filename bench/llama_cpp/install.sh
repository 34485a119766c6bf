#!/usr/bin/env bash
# Builds llama.cpp for this very machine, as a Python package in a virtual environment of its own:
#   bench/llama_cpp/install.sh [FOLDER]        (default: target/llama_cpp; needs python3, gcc and g++; minutes to an hour)
# CMAKE_BUILD_PARALLEL_LEVEL=1 leaves a core to others.
set -euo pipefail

folder=${1:-target/llama_cpp}
version=0.3.36
# GGML_NATIVE compiles for the instruction sets of this CPU, with llama.cpp's own kernels and no BLAS library; the last
# switch leaves out what a text model does not need.
export CMAKE_ARGS="-DGGML_NATIVE=ON -DGGML_BLAS=OFF -DLLAVA_BUILD=OFF"

python3 -m venv "$folder"
"$folder/bin/pip" install --no-binary llama-cpp-python "llama-cpp-python==$version"
{
    echo "llama-cpp-python $version, CMAKE_ARGS=$CMAKE_ARGS"
    g++ --version | sed -n 1p
} | tee "$folder/build.txt"
