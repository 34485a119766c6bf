"""A model file in another type, by llama.cpp's own quantiser from the values of the first.

    quantise.py FROM.gguf TO.gguf Q4_0
"""

import ctypes
import os
import sys

import llama_cpp

TYPES = {"Q4_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0}


def main():
    source, target, kind = sys.argv[1:]
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = TYPES[kind]
    params.allow_requantize = True
    unfinished = f"{target}.unfinished"
    if llama_cpp.llama_model_quantize(source.encode(), unfinished.encode(), ctypes.byref(params)) != 0:
        sys.exit(f"llama.cpp did not quantise {source}")
    os.replace(unfinished, target)


if __name__ == "__main__":
    main()
