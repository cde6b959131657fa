"""How Python makes programs. In the order to read in:

    rep           `Rep`, a value of the next stage; `lift`; literals that adapt
    joins         the types of mixed operands, and of variables where paths meet
    shapes        broadcasting, and sizes that are checked later
    table         from Python callables to their staged forms
    library/      elementwise   elementary   creation   arrays   joining   shaping   numeric   statistics   linalg   matrices
                  least_squares   special   indexing   slices   methods   protocol   random   derivatives
                  operations, by the names of NumPy; `ops` is the list of them
    calls  reach  what a call means in staged code: staged, virtualised, done now, refused
    annotations   arguments   results   trees   records
                  which arguments are staged, with which types; containers, and sums of records
    tracer        functions   dependencies
                  from Python functions to functions of a program; what they capture, and what they depend on
    source/       virtualize   find   jumps   match   names   rewrite   expressions
                  the rewriting that lets control flow stage itself
    control/      runtime   choices   loops   iterables   comprehensions   matching   messages
                  blocks   state   carried   hygiene
                  what rewritten code calls, and what it knows of the block it is in
    checkpoints   what `checkpoint=` may say
    explain       a function line by line, with what ran now and what was left for later
"""
