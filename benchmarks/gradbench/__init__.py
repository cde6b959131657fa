"""A tool for GradBench (github.com/gradbench/gradbench), and a driver that runs it without GradBench's own.

    python -m benchmarks.gradbench                  # every eval here, each answer checked at 1e-8
    gradbench run --eval "gradbench repo eval lstm" --tool "python -m benchmarks.gradbench.tool"

An eval is a module: the program as one writes it for NumPy, and what turns JSON into its arguments and its result into JSON.
"""
