"""A generated `main`: arguments from the command line or .npy files, results as text that reads back."""

from __future__ import annotations

from lms.core.errors import LmsError
from lms.core.types import ArrayType, Dim, Scalar, SumType, symbol

from .interface import Interface, Way, handle
from .names import quoted
from .signature import Module

_READER = """
static void lms_stop(const char *what, const char *text) {
    fprintf(stderr, "%s: %s\\n", text, what);
    exit(2);
}

static int64_t lms_read_int(const char *text, size_t item) {
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 0), high = (long long)(UINT64_MAX >> (65 - 8 * item));
    if (end == text || *end != 0) lms_stop("not an integer", text);
    if (errno != 0 || n > high || n < -high - 1) lms_stop("too large", text);
    return n;
}

static uint64_t lms_read_unsigned(const char *text, size_t item) {
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 0);
    if (end == text || *end != 0 || strchr(text, '-') != NULL) lms_stop("not an unsigned integer", text);
    if (errno != 0 || n > UINT64_MAX >> (64 - 8 * item)) lms_stop("too large", text);
    return n;
}

static double lms_read_float(const char *text, size_t item) {
    char *end;
    errno = 0;
    double x = strtod(text, &end), limit = item == 4 ? 0x1.ffffffp127 : INFINITY;
    if (end == text || *end != 0) lms_stop("not a number", text);
    if (fabs(x) >= limit && (errno != 0 || !isinf(x))) lms_stop("too large", text);
    return x;
}

static bool lms_read_bool(const char *text) {
    if (strcmp(text, "true") == 0 || strcmp(text, "True") == 0 || strcmp(text, "1") == 0) return true;
    if (strcmp(text, "false") != 0 && strcmp(text, "False") != 0 && strcmp(text, "0") != 0) lms_stop("not a bool", text);
    return false;
}
"""

_ARRAYS = """
/* The data of a .npy file of `descr`, row-major; or, for one axis, numbers between commas. Sets the shape. */
static void *lms_read_array(const char *text, const char *descr, size_t item, int rank, int64_t *shape) {
    size_t length = strlen(text);
    if (length < 4 || strcmp(text + length - 4, ".npy") != 0) {
        if (rank != 1) lms_stop("not a .npy file", text);
        int64_t n = *text != 0;
        for (const char *at = text; *at != 0; at++) n += *at == ',';
        char *data = malloc((size_t)n * item + 1), number[64];
        if (data == NULL) lms_stop("too large", text);
        for (int64_t k = 0; k < n; k++) {
            const char *end = strchr(text, ',');
            size_t size = end != NULL ? (size_t)(end - text) : strlen(text);
            if (size >= sizeof number) lms_stop("not a number", text);
            memcpy(number, text, size);
            number[size] = 0;
            text += size + (end != NULL);
            char *to = data + (size_t)k * item;
            if (descr[1] == 'f' && item == 8) memcpy(to, &(double){lms_read_float(number, item)}, item);
            else if (descr[1] == 'f') memcpy(to, &(float){(float)lms_read_float(number, item)}, item);
            else if (descr[1] == 'b') memcpy(to, &(bool){lms_read_bool(number)}, item);
            else if (descr[1] == 'c') lms_stop("complex numbers come in .npy files", number);
            else {
                uint64_t n = descr[1] == 'u' ? lms_read_unsigned(number, item) : (uint64_t)lms_read_int(number, item);
                if (item == 8) memcpy(to, &n, item);
                else if (item == 4) memcpy(to, &(uint32_t){(uint32_t)n}, item);
                else if (item == 2) memcpy(to, &(uint16_t){(uint16_t)n}, item);
                else memcpy(to, &(uint8_t){(uint8_t)n}, item);
            }
        }
        shape[0] = n;
        return data;
    }
    FILE *file = fopen(text, "rb");
    unsigned char start[12];
    if (file == NULL) lms_stop("cannot be read", text);
    if (fread(start, 1, 10, file) != 10 || memcmp(start, "\\x93NUMPY", 6) != 0) lms_stop("not a .npy file", text);
    size_t size = start[8] + 256u * start[9];
    if (start[6] >= 2) {
        if (fread(start + 10, 1, 2, file) != 2) lms_stop("ends too early", text);
        size += 65536u * start[10] + 16777216u * start[11];
    }
    char *head = calloc(size + 1, 1);
    if (head == NULL || fread(head, 1, size, file) != size) lms_stop("ends too early", text);
    const char *type = strstr(head, "'descr':"), *order = strstr(head, "'fortran_order':"), *dims = strstr(head, "'shape':");
    type = type != NULL ? strchr(type + 8, '\\'') : NULL;
    dims = dims != NULL ? strchr(dims, '(') : NULL;
    if (type == NULL || order == NULL || dims == NULL) lms_stop("not a .npy file", text);
    if ((type[1] == '>') || strncmp(type + 2, descr + 1, strlen(descr + 1)) != 0) {
        fprintf(stderr, "%s: expected numbers of type %s\\n", text, descr);
        exit(2);
    }
    if (order[17] == 'T' && rank > 1) lms_stop("is in Fortran's order: save np.ascontiguousarray of it", text);
    size_t count = 1;
    int axes = 0;
    for (dims++; *dims != ')' && *dims != 0;) {
        char *end;
        long long n = strtoll(dims, &end, 10);
        if (end == dims) break;
        if (axes < rank) shape[axes] = n;
        axes++;
        if (n > 0 && count > (size_t)PTRDIFF_MAX / item / (size_t)n) lms_stop("too large", text);
        count *= (size_t)n;
        for (dims = end; *dims == ',' || *dims == ' '; dims++) {}
    }
    if (axes != rank) lms_stop("has another number of axes than expected", text);
    void *data = malloc(count * item + 1);
    if (data == NULL) lms_stop("too large", text);
    if (fread(data, item, count, file) != count) lms_stop("ends too early", text);
    fclose(file);
    free(head);
    return data;
}
"""

_HEAD = """
/* Runs it: numbers on the command line, arrays as .npy files or as numbers between commas. */
int main(int lms_argc, char **lms_argv) {
"""
_FINISH = ["    if (fflush(stdout) != 0 || ferror(stdout)) {",
           '        fprintf(stderr, "standard output cannot be written\\n");', "        return 2;", "    }"]
_READS = {"f": "lms_read_float", "i": "lms_read_int", "u": "lms_read_unsigned", "b": "lms_read_bool"}
_LETTERS = {"b": "b", "i": "i", "u": "u", "f": "f", "c": "c"}


def main_program(module: Module, face: Interface) -> str:
    """The text of a main program that runs the function of an interface.

    Raises `LmsError` where an argument or result is a record, or a strided array.
    """
    for t in (*(t for _, t, _ in face.params), *(r.type for r in face.results)):
        if isinstance(t, SumType) or isinstance(t, ArrayType) and not isinstance(t.dtype, Scalar):
            raise LmsError(f"a main program reads and prints numbers and arrays, not {t}", fix="write a main of your own")
    if any(isinstance(t, ArrayType) and t.layout == "S" for _, t, _ in face.params):
        raise LmsError("a main program reads row-major arrays", fix="specialise for row-major arguments")
    body: list[str] = []
    names = " ".join(f"{name}:{t}" for name, t, _ in face.params)
    body += [f"    if (lms_argc != {len(face.params) + 1}) {{",
             f"        fprintf(stderr, {quoted(f'usage: %s {names}' + chr(10))}, lms_argv[0]);", "        return 2;", "    }"]
    if not face.params:
        body.append("    (void)lms_argv;")
    for k, (name, t, _) in enumerate(face.params):
        body += _read(module, k + 1, name, t)
    body += _sizes(face)
    printed = [line for r in face.results if r.way is not Way.ARGUMENT for line in _print(face, r.name, r.type, r.way)]
    printed += [line for name, t, written in face.params if written for line in _print(face, name, t, Way.BUFFER)]
    body += _call(module, face, printed)
    body += [f"    free({name});" for name, t, _ in face.params if isinstance(t, ArrayType)]
    body += [f"    free({r.name});" for r in face.results if r.way is Way.BUFFER]
    body += ["    lms_finish(&lms);"] if face.context else []
    text = "\n".join([*body, *_FINISH, f"    return {'lms_status' if face.context else '0'};", "}"])
    readers = _READER.strip().split("\n\n")
    arrays = _ARRAYS if "lms_read_array" in text else ""
    if not arrays:
        used = [name for name in _READS.values() if f"{name}(" in text]
        used += ["lms_stop"] if used else []
        readers = [part for part in readers if any(f"{name}(" in part.split("\n")[0] for name in used)]
    return "\n\n".join(["", *readers]) + "\n" + arrays + _HEAD + text + "\n"


def _read(module: Module, k: int, name: str, t: object) -> list[str]:
    if isinstance(t, ArrayType) and isinstance(t.dtype, Scalar):
        item, d = module.c_type(t.dtype), t.dtype
        rank = max(t.rank, 1)
        return [f"    int64_t lms_{name}_shape[{rank}] = {{0}};",
                f"    {item} *{name} = lms_read_array(lms_argv[{k}], \"<{_LETTERS[d.kind]}{d.bits // 8}\", sizeof({item}), "
                f"{t.rank}, lms_{name}_shape);"]
    assert isinstance(t, Scalar)
    if t.is_complex:
        raise LmsError("a main program reads no complex numbers from the command line", fix="take the parts as two arguments")
    c_type = module.c_type(t)
    size = "" if t.kind == "b" else f", sizeof({c_type})"
    return [f"    {c_type} {name} = ({c_type}){_READS[t.kind]}(lms_argv[{k}]{size});"]


def _sizes(face: Interface) -> list[str]:
    """Each size from an axis that tells it; every other axis is compared with what it should be."""
    out, known = [], set[str]()
    axes = [(name, j, d) for name, t, _ in face.params if isinstance(t, ArrayType) for j, d in enumerate(t.dims)]
    told = set[tuple[str, int]]()
    while len(known) < len(face.sizes):
        for name, j, d in sorted(axes, key=lambda a: not (isinstance(a[2], Dim) and a[2] == symbol(a[2].symbols[0]))):
            if not isinstance(d, Dim):
                continue
            unknown = [(s, k) for s, k in d.terms if s not in known]
            if len(unknown) == 1:
                s, k = unknown[0]
                rest = " - ".join([f"lms_{name}_shape[{j}]", *(f"{c} * {face.sizes[x]}" for x, c in d.terms if x in known)])
                value = rest if d.const == 0 else f"{rest} - {d.const}"
                out.append(f"    int64_t {face.sizes[s]} = {value if k == 1 else f'({value}) / {k}'};")
                known.add(s)
                told.add((name, j))
    for name, j, d in axes:
        if (name, j) not in told or isinstance(d, Dim) and d != symbol(d.symbols[0]):
            out += [f"    if (lms_{name}_shape[{j}] != {face.size(d)}) lms_stop(\"axis {j} should have size {face.size(d)}\", "
                    f"{quoted(name)});"]
    return out


def _call(module: Module, face: Interface, printed: list[str]) -> list[str]:
    """The call, and what is printed if it goes well."""
    out, given = [], ["&lms"] if face.context else []
    given += face.sizes.values()
    given += [name for name, _, _ in face.params]
    assigned = ""
    for r in face.results:
        if r.way is Way.RETURNED:
            assigned = f"{module.c_type(r.type)} {r.name} = "
        elif r.way is Way.POINTER:
            out.append(f"    {module.c_type(r.type)} {r.name};")
            given.append(f"&{r.name}")
        elif r.way is Way.BUFFER and isinstance(r.type, ArrayType):
            item = module.c_type(r.type.dtype)
            count = " * ".join(f"(size_t)({face.size(d)})" for d in r.type.dims) or "1"
            out.append(f"    {item} *{r.name} = malloc({count} * sizeof({item}) + 1);")
            out.append(f"    if ({r.name} == NULL) lms_stop(\"no memory\", {quoted(r.name)});")
            given.append(r.name)
        elif r.way is Way.HANDLE and isinstance(r.type, ArrayType):
            out.append(f"    {handle(r.type)} {r.name};")
            given.append(f"&{r.name}")
    call = f"{face.name}({', '.join(given)})"
    if not face.context:
        return [*out, f"    {assigned}{call};", *printed]
    return ["    lms_context lms = {0};", *out, f"    int lms_status = {call} != LMS_OK;",
            '    if (lms_status != 0) fprintf(stderr, "%s:%d: %s\\n", lms.file, lms.line, lms.message);',
            *(["    else {", *("    " + line for line in printed), "    }"] if printed else [])]


def _print(face: Interface, name: str, t: object, way: Way) -> list[str]:
    if isinstance(t, Scalar):
        return [f"    {_shown(t, name)}", '    printf("\\n");']
    assert isinstance(t, ArrayType) and isinstance(t.dtype, Scalar)
    data = f"{name}.data" if way is Way.HANDLE else name
    dims = [f"{name}.shape[{j}]" for j in range(t.rank)] if way is Way.HANDLE else [face.size(d) for d in t.dims]
    count = " * ".join(f"({d})" for d in dims) or "1"
    row = f"({dims[-1]})" if dims else "1"
    shown = _shown(t.dtype, f"{data}[lms_k]")
    return [f"    for (int64_t lms_k = 0; lms_k < {count}; lms_k++) {{", f"        {shown}",
            f'        printf((lms_k + 1) % {row} == 0 ? "\\n" : " ");', "    }"]


def _shown(t: Scalar, x: str) -> str:
    """Print a number so that it reads back."""
    digits = 9 if t.real.bits == 32 else 17
    if t.is_complex:
        return f'printf("%.{digits}g%+.{digits}gj", (double){x}.re, (double){x}.im);'
    if t.is_float:
        return f'printf("%.{digits}g", (double){x});'
    if t.kind == "b":
        return f'printf("%s", {x} ? "true" : "false");'
    return f'printf("%llu", (unsigned long long){x});' if t.kind == "u" else f'printf("%lld", (long long){x});'
