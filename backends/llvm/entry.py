"""The door of compiled code: a CPython vectorcall function, as LLVM text in the same module as the code it enters.

    ptr lms_entry(ptr self, ptr args, i64 nargsf, ptr kwnames)

It tests the exact types of its arguments, unpacks them into slots, checks sizes and overlaps, runs `lms_inner` and boxes
the results. What it does not recognise goes, untouched, to the object's next entry or to `self.__call__`: an entry never
guesses and never explains. The words of `lms_here` are filled in when the module is linked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lms.core.types import ArrayType, Dim, Scalar, Size, SumType, Type

from .abi import CONTEXT, VALUES, Module, many_arrays, offsets
from .dims import Bind, equations
from .entry_parts import DECLARES, UNPACK
from .native import CHOOSY_AT, Choosy, Layout

HERE = {"fail": 0, "box": 8, "done": 16, "module": 24}  # byte offsets in `lms_here`
BUSY = 16384  # elements in the arguments from which on a call that loops gives up the GIL at once
_LIMIT = (1 << 63) - 1


def capsule_name(t: SumType) -> str:
    """What capsules with packed records of a type are called."""
    return f"lms record {t.name}"


class _Entry:
    """Writes one entry. `block` starts a new block; conditions that fail go to `slow`."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.many = many_arrays(module.params)
        self.lines: list[str] = []
        self.globals: dict[str, str] = {}
        self.count = 0
        self.param_slots, self.result_slots = offsets(module.params), offsets(module.results)

    # ------------------------------------------------------------------------------------------ writing

    def line(self, text: str) -> None:
        self.lines.append("  " + text)

    def value(self, text: str) -> str:
        self.count += 1
        self.lines.append(f"  %t{self.count} = {text}")
        return f"%t{self.count}"

    def label(self) -> str:
        self.count += 1
        return f"b{self.count}"

    def start(self, label: str) -> None:
        self.lines.append(f"{label}:")

    def load(self, kind: str, base: str, offset: int) -> str:
        at = self.value(f"getelementptr inbounds i8, ptr {base}, i64 {offset}") if offset else base
        return self.value(f"load {kind}, ptr {at}")

    def demand(self, condition: str) -> None:
        """Go on where the condition holds, else take the slow path."""
        label = self.label()
        self.line(f'br i1 {condition}, label %{label}, label %slow, !prof !{{!"branch_weights", i32 1048575, i32 1}}')
        self.start(label)

    def slot(self, k: int, kind: str, value: str) -> None:
        at = self.value(f"getelementptr inbounds i64, ptr %slots, i64 {k}")
        self.line(f"store {kind} {value}, ptr {at}")

    def outside(self, name: str) -> str:
        self.globals[name] = f"@{name} = external global i8"
        return f"@{name}"

    # ------------------------------------------------------------------------------------- arguments

    def argument(self, k: int, t: Type) -> None:
        self.line(f"; argument {k}: {t}")
        arg = self.load("ptr", "%args", 8 * k)
        if isinstance(t, ArrayType):
            self.array(k, arg, t)
            return
        at = self.param_slots[k]
        if isinstance(t, SumType):
            name = capsule_name(t).encode() + b"\0"
            text = "".join(f"\\{byte:02X}" for byte in name)
            self.globals[f"lms_name_{k}"] = f'@lms_name_{k} = private constant [{len(name)} x i8] c"{text}"'
            self.demand(self.value(f"icmp eq ptr {self.load('ptr', arg, Layout.type)}, @PyCapsule_Type"))
            node = self.value(f"call ptr @PyCapsule_GetPointer(ptr {arg}, ptr @lms_name_{k})")
            found, lost = self.label(), self.label()
            self.line(f"br i1 {self.value(f'icmp eq ptr {node}, null')}, label %{lost}, label %{found}")
            self.start(lost)
            self.line("call void @PyErr_Clear()")
            self.line("br label %slow")
            self.start(found)
            self.slot(at, "ptr", node)
            return
        assert isinstance(t, Scalar)
        if t.kind == "b":
            yes = self.value(f"icmp eq ptr {arg}, @_Py_TrueStruct")
            no = self.value(f"icmp eq ptr {arg}, @_Py_FalseStruct")
            self.demand(self.value(f"or i1 {yes}, {no}"))
            self.slot(at, "i64", self.value(f"zext i1 {yes} to i64"))
            return
        kind = self.load("ptr", arg, Layout.type)
        numpy_class = self.outside(f"lms_class_{t.dtype.name}")
        cases: list[tuple[str, Callable[[], None]]] = []
        real, count = t.real, 2 if t.is_complex else 1
        python_class = {"i64": "@PyLong_Type", "f64": "@PyFloat_Type", "c128": "@PyComplex_Type"}.get(t.name)
        if t.is_int:
            if python_class:
                cases.append((python_class, lambda: self.integer(at, arg)))
            cases.append((numpy_class, lambda: self.parts(at, arg, f"i{t.bits}", t.bits, 1)))
        else:
            for symbol in filter(None, (python_class, numpy_class)):
                cases.append((symbol, lambda: self.parts(at, arg, f"i{real.bits}", real.bits, count)))
        self.switch(kind, cases, numpy_class if python_class else "")

    def switch(self, kind: str, cases: Sequence[tuple[str, Callable[[], None]]], weaker: str) -> None:
        """The case of the argument's type; `weaker` is a type that is taken only where the caller is not choosy about numbers."""
        done = self.label()
        for number, (symbol, unpack) in enumerate(cases):
            hit = self.label()
            miss = self.label() if number + 1 < len(cases) else "slow"
            same = self.value(f"icmp eq ptr {kind}, {symbol}")
            if symbol == weaker:
                same = self.value(f"and i1 {same}, %any")
            self.line(f"br i1 {same}, label %{hit}, label %{miss}")
            self.start(hit)
            unpack()
            self.line(f"br label %{done}")
            if miss != "slow":
                self.start(miss)
        self.start(done)

    def widened(self, value: str, kind: str) -> str:
        return value if kind == "i64" else self.value(f"zext {kind} {value} to i64")

    def parts(self, at: int, arg: str, kind: str, bits: int, count: int) -> None:
        """The bits of a number that lies in an object as it is: Python's and NumPy's floats and complex numbers, NumPy's ints."""
        for part in range(count):
            self.slot(at + part, "i64", self.widened(self.load(kind, arg, Layout.float_value + part * bits // 8), kind))

    def integer(self, at: int, arg: str) -> None:
        value = self.value(f"call i64 @PyLong_AsLongLong(ptr {arg})")
        suspect, clear, fine = self.label(), self.label(), self.label()
        self.line(f"br i1 {self.value(f'icmp eq i64 {value}, -1')}, label %{suspect}, label %{fine}")
        self.start(suspect)
        error = self.value("call ptr @PyErr_Occurred()")
        self.line(f"br i1 {self.value(f'icmp eq ptr {error}, null')}, label %{fine}, label %{clear}")
        self.start(clear)
        self.line("call void @PyErr_Clear()")
        self.line("br label %slow")
        self.start(fine)
        self.slot(at, "i64", value)

    def array(self, k: int, arg: str, t: ArrayType) -> None:
        assert isinstance(t.dtype, Scalar)
        item, at = t.dtype.bits // 8, self.param_slots[k]
        if t.layout == "C" and self.many:
            need = 0x101 | (0x400 if k in self.module.mut else 0)
            slots = self.value(f"getelementptr inbounds i64, ptr %slots, i64 {at}")
            self.demand(self.value(f"call i1 @lms_unpack(ptr {arg}, ptr {slots}, i32 {t.rank}, i32 {t.dtype.dtype.num}, "
                                   f"i8 {ord(t.dtype.dtype.byteorder)}, i32 {need})"))
            for axis in range(t.rank):
                self.line(f"%dim_{k}_{axis} = load i64, ptr {self.value(f'getelementptr i64, ptr {slots}, i64 {2 + axis}')}")
            return
        self.demand(self.value(f"icmp eq ptr {self.load('ptr', arg, Layout.type)}, @lms_ndarray"))
        rank = self.value(f"icmp eq i32 {self.load('i32', arg, Layout.array_rank)}, {t.rank}")
        need = 0x100 | (0x400 if k in self.module.mut else 0) | (1 if t.layout == "C" else 0)
        flags = self.value(f"and i32 {self.load('i32', arg, Layout.array_flags)}, {need}")
        descr = self.load("ptr", arg, Layout.array_descr)
        number = self.value(f"icmp eq i32 {self.load('i32', descr, Layout.descr_number)}, {t.dtype.dtype.num}")
        order = self.value(f"icmp eq i8 {self.load('i8', descr, Layout.descr_byteorder)}, {ord(t.dtype.dtype.byteorder)}")
        a = self.value(f"and i1 {rank}, {self.value(f'icmp eq i32 {flags}, {need}')}")
        self.demand(self.value(f"and i1 {a}, {self.value(f'and i1 {number}, {order}')}"))
        self.slot(at, "ptr", "null")
        self.slot(at + 1, "ptr", self.load("ptr", arg, Layout.array_data))
        if not t.rank:
            return
        dims = self.load("ptr", arg, Layout.array_dims)
        for axis in range(t.rank):
            size = self.load("i64", dims, 8 * axis)
            self.line(f"%dim_{k}_{axis} = add i64 {size}, 0")
            self.slot(at + 2 + axis, "i64", f"%dim_{k}_{axis}")
        if t.layout == "S":
            strides = self.load("ptr", arg, Layout.array_strides)
            odd = "0"
            for axis in range(t.rank):
                stride = self.load("i64", strides, 8 * axis)
                odd = self.value(f"or i64 {odd}, {stride}")
                steps = self.value(f"ashr i64 {stride}, {item.bit_length() - 1}")
                self.line(f"%stride_{k}_{axis} = add i64 {steps}, 0")
                self.slot(at + 2 + t.rank + axis, "i64", f"%stride_{k}_{axis}")
            self.demand(self.value(f"icmp eq i64 {self.value(f'and i64 {odd}, {item - 1}')}, 0"))

    # --------------------------------------------------------------------------------- sizes and overlap

    def sizes(self) -> None:
        symbols: dict[str, str] = {}
        single = "false"
        for e in equations(self.module.params):
            have = f"%dim_{e.param}_{e.axis}"
            if isinstance(e, Bind) or isinstance(e.size, Dim):
                single = self.value(f"or i1 {single}, {self.value(f'icmp eq i64 {have}, 1')}")
            if not isinstance(e, Bind):
                self.demand(self.value(f"icmp eq i64 {have}, {self.size(e.size, symbols)}"))
                continue
            if e.rest != 0:
                have = self.value(f"sub i64 {have}, {self.size(e.rest, symbols)}")
            if e.scale != 1:
                self.demand(self.value(f"icmp eq i64 {self.value(f'srem i64 {have}, {e.scale}')}, 0"))
                have = self.value(f"sdiv i64 {have}, {e.scale}")
            if e.rest != 0 or e.scale < 0:
                self.demand(self.value(f"icmp sge i64 {have}, 0"))
            symbols[e.symbol] = have
        if single != "false":
            self.demand(self.value(f"xor i1 {self.value(f'and i1 {single}, %sizes')}, true"))

    def size(self, size: Size, symbols: dict[str, str]) -> str:
        if not isinstance(size, Dim):
            return str(size)
        total = str(size.const)
        for name, scale in size.terms:
            total = self.value(f"add i64 {total}, {self.value(f'mul i64 {symbols[name]}, {scale}')}")
        return total

    def elements(self, k: int, t: ArrayType) -> str:
        total = "1"
        for axis in range(t.rank):
            total = self.value(f"mul i64 {total}, %dim_{k}_{axis}")
        return total

    def span(self, k: int, t: ArrayType) -> tuple[str, str, str]:
        """The first byte of an array, the byte after the last, and whether it has any."""
        assert isinstance(t.dtype, Scalar)
        item = t.dtype.bits // 8
        at = self.value(f"getelementptr inbounds i64, ptr %slots, i64 {self.param_slots[k] + 1}")
        data = self.value(f"load i64, ptr {at}")
        count = self.elements(k, t)
        some = self.value(f"icmp ne i64 {count}, 0")
        if t.layout == "C":
            return data, self.value(f"add i64 {data}, {self.value(f'mul i64 {count}, {item}')}"), some
        low, high = data, self.value(f"add i64 {data}, {item}")
        for axis in range(t.rank):
            steps = self.value(f"mul i64 %stride_{k}_{axis}, {self.value(f'sub i64 %dim_{k}_{axis}, 1')}")
            reach = self.value(f"mul i64 {steps}, {item}")
            back = self.value(f"icmp slt i64 {reach}, 0")
            low = self.value(f"add i64 {low}, {self.value(f'select i1 {back}, i64 {reach}, i64 0')}")
            high = self.value(f"add i64 {high}, {self.value(f'select i1 {back}, i64 0, i64 {reach}')}")
        return low, high, some

    def overlaps(self) -> None:
        """Memory that is written to must belong to one argument alone."""
        arrays = [(k, t) for k, t in enumerate(self.module.params) if isinstance(t, ArrayType)]
        if not self.module.mut or len(arrays) < 2:
            return
        spans = {k: self.span(k, t) for k, t in arrays}
        for m in sorted(self.module.mut & spans.keys()):
            for k, _ in arrays:
                if k == m or (k in self.module.mut and k < m):
                    continue
                (low, high, some), (low2, high2, some2) = spans[m], spans[k]
                before = self.value(f"icmp ule i64 {high}, {low2}")
                after = self.value(f"icmp ule i64 {high2}, {low}")
                apart = self.value(f"or i1 {before}, {after}")
                none = self.value(f"xor i1 {self.value(f'and i1 {some}, {some2}')}, true")
                self.demand(self.value(f"or i1 {apart}, {none}"))

    # ------------------------------------------------------------------------------------------- results

    def result(self, k: int, t: Type) -> str:
        at = self.value(f"getelementptr inbounds i64, ptr %results, i64 {self.result_slots[k]}")
        if isinstance(t, ArrayType):
            return self.array_result(t, at)
        assert isinstance(t, Scalar)
        if t.name == "f64":
            return self.value(f"call ptr @PyFloat_FromDouble(double {self.load('double', at, 0)})")
        if t.name == "i64":
            return self.value(f"call ptr @PyLong_FromLongLong(i64 {self.load('i64', at, 0)})")
        if t.kind == "b":
            return self.value(f"call ptr @PyBool_FromLong(i64 {self.load('i64', at, 0)})")
        if t.name == "c64":  # the parts come in a slot each
            imaginary = self.load("i32", at, 8)
            packed = self.value(f"getelementptr inbounds i8, ptr {at}, i64 4")
            self.line(f"store i32 {imaginary}, ptr {packed}")
        return self.value(f"call ptr @lms_numpy_scalar(ptr {at}, ptr {self.outside(f'lms_dtype_{t.dtype.name}')}, ptr null)")

    def array_result(self, t: ArrayType, at: str) -> str:
        assert isinstance(t.dtype, Scalar)
        done, cases = self.label(), []
        data = self.load("i64", at, 8)
        for m in sorted(self.module.mut):
            p = self.module.params[m]
            if not isinstance(p, ArrayType) or p.dtype != t.dtype or p.rank != t.rank:
                continue
            first = self.value(f"getelementptr inbounds i64, ptr %slots, i64 {self.param_slots[m] + 1}")
            same = self.value(f"icmp eq i64 {data}, {self.value(f'load i64, ptr {first}')}")
            for axis in range(t.rank):
                size = self.load("i64", at, 16 + 8 * axis)
                same = self.value(f"and i1 {same}, {self.value(f'icmp eq i64 {size}, %dim_{m}_{axis}')}")
                if t.layout == "S" and p.layout == "S":
                    stride = self.load("i64", at, 16 + 8 * (t.rank + axis))
                    same = self.value(f"and i1 {same}, {self.value(f'icmp eq i64 {stride}, %stride_{m}_{axis}')}")
            hit, miss = self.label(), self.label()
            self.line(f"br i1 {same}, label %{hit}, label %{miss}")
            self.start(hit)
            arg = self.load("ptr", "%args", 8 * m)
            self.line(f"call void @Py_IncRef(ptr {arg})")
            self.line(f"br label %{done}")
            cases.append((arg, hit))
            self.start(miss)
        last = self.label()
        self.line(f"br label %{last}")
        self.start(last)
        fresh = self.value(f"call ptr @lms_box_array(ptr {at}, i32 {t.rank}, i32 {t.dtype.dtype.num}, i64 {t.dtype.bits // 8}, "
                           f"i32 {int(t.layout == 'S')})")
        self.line(f"br label %{done}")
        self.start(done)
        return self.value("phi ptr " + ", ".join(f"[{v}, %{label}]" for v, label in [*cases, (fresh, last)]))

    def box(self) -> None:
        results = self.module.results
        if any(isinstance(t, SumType) or (isinstance(t, ArrayType) and isinstance(t.dtype, SumType)) for t in results):
            box = self.load("ptr", "@lms_here", HERE["box"])
            self.finish(self.value(f"call ptr @lms_ask(ptr {box}, ptr %results)"))
        elif not results:
            self.line("call void @Py_IncRef(ptr @_Py_NoneStruct)")
            self.finish("@_Py_NoneStruct")
        elif len(results) == 1:
            self.finish(self.result(0, results[0]))
        else:
            tuple_ = self.value(f"call ptr @PyTuple_New(i64 {len(results)})")
            lost = self.label()
            self.guard(tuple_, "nothing")
            for k, t in enumerate(results):
                value = self.result(k, t)
                self.guard(value, lost)
                self.line(f"call i32 @PyTuple_SetItem(ptr {tuple_}, i64 {k}, ptr {value})")
            self.finish(tuple_)
            self.start(lost)
            self.line(f"call void @Py_DecRef(ptr {tuple_})")
            self.line("br label %nothing")
            self.start("nothing")
            self.finish("null")

    def guard(self, value: str, lost: str) -> None:
        label = self.label()
        self.line(f"br i1 {self.value(f'icmp eq ptr {value}, null')}, label %{lost}, label %{label}")
        self.start(label)

    def finish(self, value: str) -> None:
        if "lms_py_call" in self.module.callbacks and value != "null":
            nothing = self.value(f"call ptr @lms_ask(ptr {self.load('ptr', '@lms_here', HERE['done'])}, ptr %context)")
            self.line(f"call void @Py_DecRef(ptr {nothing})")
        self.line("call void @lms_finish(ptr %context)")
        self.line(f"ret ptr {value}")

    # --------------------------------------------------------------------------------------------- whole

    def run(self) -> None:
        """Make the context, call the program with the GIL or without it, and take the GIL back."""
        module = self.module
        self.line(f"call void @llvm.memset.p0.i64(ptr align 16 %context, i8 0, i64 {VALUES}, i1 false)")
        handle = self.value(f"getelementptr inbounds i8, ptr %context, i64 {CONTEXT['module']}")
        self.line(f"store ptr {self.load('ptr', '@lms_here', HERE['module'])}, ptr {handle}")
        thread = self.value(f"getelementptr inbounds i8, ptr %context, i64 {CONTEXT['thread']}")
        total = "0"
        for k, t in enumerate(module.params):
            if module.loops and isinstance(t, ArrayType):
                total = self.value(f"add i64 {total}, {self.elements(k, t)}")
        if total != "0":
            release, go = self.label(), self.label()
            self.line(f"br i1 {self.value(f'icmp sgt i64 {total}, {BUSY}')}, label %{release}, label %{go}")
            self.start(release)
            saved = self.value("call ptr @PyEval_SaveThread()")
            self.line(f"store ptr {saved}, ptr {thread}")
            self.line(f"br label %{go}")
            self.start(go)
        status = self.value("call i32 @lms_inner(ptr %context, ptr %slots, ptr %results)")
        if total != "0" or "lms_poll" in module.callbacks:
            back, go = self.label(), self.label()
            now = self.value(f"load ptr, ptr {thread}")
            self.line(f"br i1 {self.value(f'icmp eq ptr {now}, null')}, label %{go}, label %{back}")
            self.start(back)
            self.line(f"call void @PyEval_RestoreThread(ptr {now})")
            self.line(f"br label %{go}")
            self.start(go)
        fine, failed = self.label(), self.label()
        self.line(f'br i1 {self.value(f"icmp eq i32 {status}, 0")}, label %{fine}, label %{failed}, '
                  '!prof !{!"branch_weights", i32 1048575, i32 1}')
        self.start(failed)
        self.line(f"call void @lms_fail(ptr {self.load('ptr', '@lms_here', HERE['fail'])}, ptr %context)")
        self.finish("null")
        self.start(fine)

    @property
    def text(self) -> str:
        module = self.module
        words = [max(n, 1) for n in (self.param_slots[-1], self.result_slots[-1])]
        self.line(f"%slots = alloca [{words[0]} x i64], align 16")
        self.line(f"%results = alloca [{words[1]} x i64], align 16")
        self.line(f"%context = alloca [{module.context_size} x i8], align 16")
        count = self.value(f"and i64 %nargsf, {_LIMIT}")
        enough = self.value(f"icmp eq i64 {count}, {len(module.params)}")
        self.demand(self.value(f"and i1 {enough}, {self.value('icmp eq ptr %kwnames, null')}"))
        choices = self.load("i64", "%self", CHOOSY_AT)
        choosy = self.value(f"icmp ne i64 {choices}, 0")
        self.line(f"%sizes = icmp ne i64 {self.value(f'and i64 {choices}, {Choosy.SIZES:d}')}, 0")
        self.line(f"%any = icmp eq i64 {self.value(f'and i64 {choices}, {Choosy.NUMBERS:d}')}, 0")
        off = self.value(f"icmp ne i64 {self.load('i64', '@lms_suspended', 0)}, 0")
        self.demand(self.value(f"xor i1 {self.value(f'and i1 {choosy}, {off}')}, true"))
        self.demand(self.value("call i1 @lms_holds(ptr %self)"))
        for k, t in enumerate(module.params):
            self.argument(k, t)
        self.sizes()
        self.overlaps()
        self.run()
        self.box()
        self.start("slow")
        again = self.value("tail call ptr @lms_slow(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames, ptr @lms_entry)")
        self.line(f"ret ptr {again}")
        body = "\n".join(self.lines)
        quick = "noinline optnone " if self.many else ""  # long, and soon done: compiled as it is
        return (DECLARES + (UNPACK if self.many else "") + "\n".join(self.globals.values())
                + f"\ndefine ptr @lms_entry(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames) {quick}{{\nentry:\n{body}\n}}\n")


def entry_text(module: Module) -> str:
    """The text of `lms_entry` for a module that defines `lms_inner` and `lms_finish`."""
    return _Entry(module).text
