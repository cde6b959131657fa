"""The commands of the command line, one subject a file. Each has a function `add` that says which words it takes."""
