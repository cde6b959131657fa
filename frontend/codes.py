"""The table of diagnostics: code, title, and a paragraph that says what is wrong, why it is an error, and what to write.

E01 syntax, E02 names and modules, E03 types, E04 stages, E05 evaluation, E06 continuations, E07 derivatives and exports.
"""

from __future__ import annotations

CODES: dict[str, tuple[str, str]] = {
    # ------------------------------------------------------------------------------------------------- syntax
    "E0101": ("this cannot stand here", """\
The parser met a token that continues nothing that is allowed at this place. The message lists what could stand there.
Common causes: a missing `=` before the body of a `def`, a missing brace, two statements on one line without `;`
between them."""),
    "E0102": ("the file ends too early", """\
A brace, bracket or parenthesis that was opened is never closed, or a definition has no body. The second place in the
message is where the innermost one was opened."""),
    "E0103": ("not a character of the language", """\
The source holds a character that starts no token, such as `$` or `?`. In strings and comments every character is
allowed."""),
    "E0104": ("a string or character is not closed", """\
A string ends on the line it begins on, with `"`. A character such as 'a' is one byte between single quotes. Write
`\\n` for the end of a line and `\\"` for a quote."""),
    "E0105": ("a comment is not closed", """\
`/*` opens a comment that ends with `*/`. They nest: every `/*` inside needs its own `*/`."""),
    "E0106": ("a malformed number", """\
A float has digits on both sides of its dot: `1.0`, `0.5`. A number may end in a type, `1u8`, `2.5f32`, in which it
must fit; only floats have a fraction or an exponent. Underscores may stand between digits."""),
    "E0107": ("comparisons do not chain", """\
`a < b < c` could mean two things. Write `a < b && b < c`."""),
    "E0108": ("this cannot be assigned to", """\
The left of `=` is a variable, or an element of an array (`a[i] = x`, `a[1..3] = x`). Fields of records do not change:
`p with (x = 2.0)` is the record with another field."""),
    "E0109": ("nested too deeply", """\
An expression is nested more deeply than 1,000 levels; `a + b + c` is one level, however many there are. Give a part of it
a name with `let`, or move it into a function."""),
    "E0110": ("a malformed escape or interpolation", """\
After a backslash in a string stands one of `n t r 0 \\ " ' { }`, `x` and two hexadecimal digits, or `u` and four. In
the texts of `print` and `error`, `{` begins an expression that ends with `}`; `\\{` is a brace."""),
    "E0111": ("a malformed range", """\
`by` gives the step of a range: `0..n by 2`. A range has two ends, except in a subscript, where `a[1..]` and `a[..]`
are allowed; `..=` includes its end, and needs one."""),
    "E0112": ("a malformed dimension", """\
A dimension is a sum of names and whole numbers: `n`, `n + 1`, `2 * n - 3`."""),
    "E0113": ("this cannot be exported or placed here", """\
`export` stands before a `def` at the top of a file. `data`, `import` and `derivative` stand at the top of a file too."""),
    "E0114": ("a pattern that is not allowed", """\
In a list pattern `..` stands once, and last: `[first, ..rest]`. A literal pattern is a number, a string, a character,
`true` or `false`."""),
    # -------------------------------------------------------------------------------------------- names, modules
    "E0201": ("not defined", """\
The name is not defined in this file, not imported, and not built in. Names are found in the block they stand in, in
those around it, and at the top of the file."""),
    "E0202": ("not a type, or not a dimension", """\
A type stands where a dimension is expected, or the reverse. Upper-case names in `[...]` behind the name of a function
are types, lower-case ones dimensions. An array exists later only: `Rep[f64[n]]`."""),
    "E0203": ("wrong number of types in brackets", """\
A type takes as many types in brackets as its definition has: `Pair[i64, f64]`, `List[f64]`, `Rep[f64]`."""),
    "E0204": ("wrong number of arguments", """\
A function takes as many arguments as it has parameters, those with a default excepted; a constructor takes all its
fields."""),
    "E0205": ("an argument's name is wrong", """\
Arguments are given by place, then by name: `f(1, axis = 0)`. A name must be that of a parameter, and none is given
twice."""),
    "E0206": ("defined twice", """\
Two definitions at the top of a file, two parameters, two fields or two parts of one pattern have the same name."""),
    "E0207": ("a jump with nothing to jump out of", """\
`break` and `continue` stand in a loop, `return` in a function. A `shift` or `reset` between the two is a function's
boundary."""),
    "E0208": ("a definition that needs itself", """\
The value of a `let` at the top is needed to find out its own type or value. Annotate its type, or make it a function."""),
    "E0209": ("a module that cannot be read", """\
`import name` reads `name.lms` beside the importing file, or one of the files the language brings. The file is
missing, or has mistakes of its own."""),
    "E0210": ("modules that import each other", """\
A file cannot import one that imports it, directly or through others. Move what both need into a third file."""),
    # ------------------------------------------------------------------------------------------------- types
    "E0301": ("a value of another type", """\
The place asks for one type and the value is of another. Only literals adapt to their context; numbers are converted
by the name of the type: `f64(n)`, `i64(x)`."""),
    "E0302": ("branches of different types", """\
The branches of an `if` or the arms of a `match` give values of different types. A value of now beside one of later is
lifted; all else must agree."""),
    "E0303": ("a literal that does not fit", """\
A whole number takes the type its context wants, if that holds it exactly; otherwise write another number or another
type."""),
    "E0304": ("no such field", """\
The record has no field of that name. A `data` with several alternatives has no fields before `match` has found out
which one it is."""),
    "E0305": ("operands of different types", """\
Both sides of an operator have elements of one type. Convert one: `f64(n) * x`."""),
    "E0306": ("sizes that differ", """\
Two dimensions that must be equal are different numbers. Dimensions with names are compared when the program runs."""),
    "E0307": ("a negative subscript", """\
Subscripts count from 0. The last element of `a` is `a[n - 1]`, where `n` is its dimension."""),
    "E0308": ("not writable", """\
`let` and parameters are read only. A variable is made by `var`; a parameter that is written to is declared `mut a:
Rep[f64[n]]`, and what is passed to it is writable too."""),
    "E0309": ("a type that must be written", """\
Parameters of a function have types; those of a lambda are inferred only where its context says what function is
wanted."""),
    "E0310": ("a pattern that may not fit", """\
The pattern of a `let` or a `for` must fit every value. Use `match`, which has an arm for each case."""),
    "E0311": ("a `match` that leaves something out", """\
The arms of a `match` together fit every value. The message shows a value for which there is none. Arms with a guard
do not count."""),
    "E0312": ("a result type that must be declared", """\
A function that calls itself is typed by its declared result: `def f(n: i64): i64 = ...`."""),
    "E0313": ("a generic function at a type it does not take", """\
The types of a generic function are inferred from its arguments, or given in brackets: `f[f64]`. `T: Num` takes
numbers, `T: Ord` what can be compared with `<`, `T: Eq` what can be compared with `==`, `T: Bool` conditions, each of
now or later."""),
    "E0314": ("arguments a built-in function does not take", """\
The array and math functions are those of NumPy, with its names and its arguments; the message is what the function
says of these."""),
    # ------------------------------------------------------------------------------------------------ stages
    "E0401": ("known later, needed now", """\
A value of type `Rep[T]` exists when the generated program runs; a value of type `T` is needed while it is made. Make
what needs it `Rep[T]`, or compute the value from what is known now. The other way round is implicit: a value of now
is lifted where one of later is expected."""),
    "E0402": ("decided later, needed now", """\
The condition of an `if` or the subject of a `match` is known later, so which branch runs is not known now, and a
value needed now cannot depend on it. Make what needs it `Rep[T]`, or decide by something that is known now."""),
    "E0403": ("a variable of now, changed later", """\
A variable of now cannot be assigned under a condition or in a loop that is decided later: whether it happens is not
known now. Declare it `var x: Rep[T]`, a variable of the generated program."""),
    "E0404": ("a jump that is decided later", """\
`break`, `continue` and `return` under a condition of later become flags of the generated program. For that they are
statements of their own, not parts of expressions; and a function that returns early declares its result, since that needs
a value from the start: numbers, arrays, tuples of these, and `data` of the same file. Otherwise give the result by `if` and
`else`."""),
    "E0405": ("no such type of later", """\
`Rep[T]` is for numbers, arrays, tuples of these, and `data` whose fields are such. Functions, lists and strings exist
now only; `Rep[Rep[T]]` means nothing."""),
    "E0406": ("a comprehension over both stages", """\
`[for ... => e]` is a list if its clauses go over what is known now, and an array if they go over ranges known later.
Make all of them later with `lift`."""),
    # ---------------------------------------------------------------------------------------------- evaluation
    "E0501": ("the program cannot be made", """\
An operation on values of later was refused while the program was being made; the message says why."""),
    "E0502": ("an operation without a result", """\
A computation of now has no result: a division by zero, a negative shift."""),
    "E0503": ("a number that does not fit", """\
Whole numbers of now must fit their type: an overflow is an error while compiling. Numbers of later wrap."""),
    "E0504": ("a subscript outside a list", """\
A list or string is taken apart at a place it does not have."""),
    "E0505": ("evaluation that does not end", """\
What runs now is given a million steps; this took more. A recursion on a value of later never ends while compiling:
make it a function of the generated program by declaring its parameters `Rep`, or use a loop."""),
    "E0506": ("`error` was called", """\
The program itself called `error`, or an `assert` of something known now failed."""),
    "E0507": ("a variable of another function", """\
A variable of the generated program lives in the function that makes it. Another function of the generated program
cannot assign to it."""),
    # ------------------------------------------------------------------------------------------- continuations
    "E0601": ("a `shift` past a staged block", """\
Every branch and loop that is decided later is a `reset` of its own: the rest of the program cannot be moved into it.
Capture the continuation outside and make it a function of the generated program: `shift { k => let j = reify(k); if c
{ j(a) } else { j(b) } }`."""),
    "E0602": ("a continuation of unknown type", """\
The type of `k` in `shift { k => ... }` is known from the `reset` around it in the same function. In another function,
annotate it: `{ k: (Rep[f64]) -> unit => ... }`."""),
    "E0603": ("two answers of one `reset`", """\
All `shift`s of one `reset` have its answer type: what the `reset` gives."""),
    "E0604": ("a `shift` without `reset`", """\
A `shift` captures the rest of the program up to the nearest `reset`, and there is none around the place where this
one ran."""),
    # ------------------------------------------------------------------------------------ derivatives, exports
    "E0701": ("this cannot be exported", """\
An exported function is called from Python and C: its parameters are numbers, arrays, records and strings, and it is
of one type."""),
    "E0702": ("not the derivative of a function", """\
`derivative f(x) = (value, fn(dy) => dx)` stands beside the function `f` and has its parameters. It gives the value
and a function from the cotangent of the result to those of the parameters that are floats."""),
    "E0703": ("this cannot be differentiated", """\
`grad` takes a function of `Rep`s whose result is one float, by arguments that hold floats."""),
}
