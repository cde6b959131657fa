"""The commands of the command line, one subject a file. Each has a function `register` that says which words it takes."""
