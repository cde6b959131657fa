"""How Python makes programs. In the order to read in:

    rep           `Rep`, a value of the next stage; `lift`; literals that adapt
    joins         the types of mixed operands, and of variables where paths meet
    shapes        broadcasting, and sizes that are checked later
    table         from Python callables to their staged forms
    elementwise   elementary   creation   arrays   shaping   numeric   linalg   special   indexing   slices   methods
    protocol      random
                  operations, by the names of NumPy; `ops` is the list of them
    calls  reach  what a call means in staged code: staged, virtualised, done now, refused
    annotations   arguments   results   trees   records
                  which arguments are staged, with which types; containers, and sums of records
    tracer        functions   dependencies
                  from Python functions to functions of a program; what they capture, and what they depend on
    source        and its kin: the rewriting that lets control flow stage itself
    runtime       control   loops   blocks   state   carried   matching   comprehensions   hygiene   messages   iterables
                  what rewritten code calls
    derivatives   explain
"""
