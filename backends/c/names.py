"""Names in C: the user's, spelled so that C takes them, and taken by nothing else."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container

from lms.core.types import Dim, Size

from ..identifiers import unused

_KEYWORDS = """auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while _Alignas _Alignof _Atomic
_Bool _Complex _Generic _Imaginary _Noreturn _Static_assert _Thread_local bool true false asm typeof complex
alignas alignof and and_eq bitand bitor catch class compl constexpr const_cast decltype delete dynamic_cast explicit export friend
mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public reinterpret_cast static_assert
static_cast template this thread_local throw try typeid typename using virtual wchar_t xor xor_eq"""
_LIBRARY = """
abort abs acos acosh asin asinh assert atan atan2 atanh atexit atof atoi atol bsearch cabs calloc carg cbrt ceil cexp
cimag clog conj copysign cos cosh cpow creal csin csqrt ccos ctime div erf erfc errno exit exp exp2 exp10 expm1 fabs
fclose fdim feof fflush fgets floor fma fmax fmin fmod fopen fputs fread free frexp fwrite gamma getc getenv hypot index
isfinite isinf isnan isnormal j0 j1 jn labs ldexp lgamma llabs log log10 log1p log2 logb lrint lround main malloc memcmp
memcpy memmove memset modf nan nearbyint pow pow10 printf putc puts qsort raise rand read realloc remainder remove
rename rint round scanf signal signbit signgam significand sin sincos sinh snprintf sprintf sqrt srand sscanf stdin
stdout stderr strchr strcmp strcpy strlen strncmp strtod strtol strtoll strtoull system tan tanh tgamma time trunc
vsnprintf write y0 y1 yn I NULL NAN INFINITY EOF FILE lms depth"""
_MATH = """ilogb nexttoward nextafter scalbn scalbln remquo fpclassify isgreater isgreaterequal isless islessequal islessgreater
isunordered cacos cacosh casin casinh catan catanh csinh ccosh ctan ctanh clog cproj drem scalb lgamma_r llrint llround"""
_STANDARD = """aligned_alloc at_quick_exit clearerr ferror fgetc fgetpos fprintf fputc freopen fscanf fseek fsetpos ftell getchar
ldiv lldiv mblen mbstowcs mbtowc memchr perror putchar quick_exit rewind setbuf setvbuf strcat strcoll strcspn strerror strncat
strncpy strpbrk strrchr strspn strstr strtof strtok strtold strtoul strxfrm tmpfile tmpnam ungetc vfprintf vfscanf vprintf vscanf
vsprintf vsscanf wcstombs wctomb"""
KEYWORDS = frozenset(_KEYWORDS.split())
# <math.h> and <complex.h> have each function three times: `pow`, `powf`, `powl`
RESERVED = frozenset(word + kind for word in (_LIBRARY + " " + _MATH).split() for kind in ("", "f", "l")).union(
    KEYWORDS, _STANDARD.split())


def ascii_spelling(text: str) -> str:
    """The text in ASCII letters: Greek letters by their names, others without their accents or by their numbers."""
    return "".join(ch if ch.isascii() else _spelled(ch) for ch in unicodedata.normalize("NFC", text))


def _spelled(ch: str) -> str:
    words = unicodedata.name(ch, "").split()
    if words[:1] == ["GREEK"] and "LETTER" in words:
        word = words[words.index("LETTER") + 1].lower()
        return word.capitalize() if "CAPITAL" in words else word
    plain = unicodedata.normalize("NFKD", ch)[0]
    return plain if plain.isascii() else f"u{ord(ch):04x}"


def spelled(hint: str, otherwise: str) -> str:
    """An identifier close to a hint. Names that begin with `lms_` are the runtime's."""
    name = re.sub(r"\W+", "_", ascii_spelling(hint), flags=re.ASCII).strip("_") or otherwise
    return f"_{name}" if name[0].isdigit() or name.startswith("lms_") or name.startswith("LMS_") else name


def unique(hint: str, otherwise: str, taken: Container[str]) -> str:
    """An identifier close to a hint that nothing has taken."""
    return unused(spelled(hint, otherwise), 0, RESERVED, taken)[0]


def size_name(d: Size) -> str:
    """A name for a size: `n`, `n_plus_1`; of a size without a name, that of the array it was found on."""
    if not isinstance(d, Dim):
        return f"size_{d}"
    name = d.terms[0][0].partition("$")[0] if "$" in d.terms[0][0] else ""
    if name and len(d.terms) == 1 and not d.const and d.terms[0][1] == 1:
        return f"{name}_size"
    return str(d).replace("+", "_plus_").replace("-", "_minus_").replace("*", "_times_").replace("$", "_")


def quoted(text: str) -> str:
    """A string literal."""
    out = []
    for ch in text:
        if ch in '"\\':
            out.append("\\" + ch)
        elif ch == "\n":
            out.append("\\n")
        elif ch == "?":  # no trigraphs
            out.append("\\?" if out and out[-1] in ("?", "\\?") else ch)
        elif ch.isascii() and ch.isprintable():
            out.append(ch)
        else:
            out.extend(f"\\{byte:03o}" for byte in ch.encode())
    return '"' + "".join(out) + '"'


def comment(text: str) -> str:
    """Text that may stand in a comment."""
    return text.replace("*/", "* /").replace("/*", "/ *").replace("\\\n", "\\ \n")
