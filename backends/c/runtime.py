"""What generated C needs beside its functions: the context of a call, memory, errors, text. Each part stands where it is used."""

from __future__ import annotations

from lms.core.primitives.control import ERRORS

from .speaking import status

_FIRST = ("IndexError", "ZeroDivisionError", "ValueError", "AssertionError", "RecursionError", "MemoryError")
STATUSES = {name: k for k, name in enumerate((*_FIRST, *sorted(set(ERRORS) - set(_FIRST))), 1)}

COMPLEX = """#ifndef LMS_COMPLEX
#define LMS_COMPLEX
typedef struct { float re, im; } lms_c64;
typedef struct { double re, im; } lms_c128;
#endif"""

CONTEXT = f"""#ifndef LMS_CONTEXT
#define LMS_CONTEXT
/* What a call gives when it fails; `lms_context.message` says more. */
enum {{
    LMS_OK = 0,
    {", ".join(f"{status(name)} = {k}" for name, k in list(STATUSES.items())[:3])},
    {", ".join(f"{status(name)} = {k}" for name, k in list(STATUSES.items())[3:6])},
    {", ".join(f"{status(name)} = {k}" for name, k in list(STATUSES.items())[6:10])},
    {", ".join(f"{status(name)} = {k}" for name, k in list(STATUSES.items())[10:14])},
    {", ".join(f"{status(name)} = {k}" for name, k in list(STATUSES.items())[14:])}
}};

typedef struct lms_block lms_block;

/* What belongs to one thread's calls. Zero it before the first call, and call `lms_finish` after the last. */
typedef struct lms_context {{
    /* yours to set; zeros are fine */
    void *workspace;       /* memory to use instead of malloc's, aligned to 16 bytes */
    size_t workspace_size; /* its bytes */
    int64_t max_depth;     /* how deep recursion may go: 1000000 */
    size_t max_stack;      /* and how many bytes of the stack it may use: 4 MiB */
    /* what a call that failed leaves */
    int status;            /* what it returned */
    int line;              /* where in the source */
    const char *file;
    char message[256];     /* and why */
    /* what calls use */
    size_t held, most;     /* bytes of memory now, and at most since the context was zeroed */
    lms_block *blocks, *pending, *spare;
    uintptr_t stack;
    bool tearing, carved;
}} lms_context;

typedef struct {{ int32_t tag; int32_t counted; }} lms_node;

/* A block of memory of a call: this, then its bytes. */
struct lms_block {{
    lms_block *previous, *next;
    int64_t references, bytes, kind, unused;
}};

/* Give back all that calls made and left in the context: records, and arrays whose sizes were not known before. */
static inline void lms_finish(lms_context *lms) {{
    while (lms->blocks != NULL) {{
        lms_block *next = lms->blocks->next;
        if (lms->workspace == NULL) free(lms->blocks);
        lms->blocks = next;
    }}
    lms->held = 0;
    lms->carved = false;
}}
#endif"""

FAIL = """/* Note an error in the context; gives the status. */
static int lms_fail(lms_context *lms, int status, const char *file, int line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(lms->message, sizeof lms->message, format, arguments);
    va_end(arguments);
    lms->status = status;
    lms->file = file;
    lms->line = line;
    return status;
}"""

INDEX = """static int lms_index_error(lms_context *lms, const char *file, int line, int64_t i, int64_t n) {
    return lms_fail(lms, LMS_INDEX_ERROR, file, line, "index %lld is out of bounds for axis of size %lld", (long long)i,
                    (long long)n);
}"""

TRY = """/* Leave with the status of a call that failed. */
#define LMS_TRY(call) do { int lms_status = (call); if (lms_status != LMS_OK) return lms_status; } while (0)"""

DEEP = """/* Whether recursion has gone as far as it may. */
static bool lms_too_deep(const lms_context *lms, int64_t depth) {
#if defined(__GNUC__)
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
#else
    char place;
    uintptr_t here = (uintptr_t)&place;
#endif
    size_t used = lms->stack > here ? lms->stack - here : here - lms->stack;
    return depth >= (lms->max_depth > 0 ? lms->max_depth : 1000000)
        || used > (lms->max_stack > 0 ? lms->max_stack : (size_t)4 << 20);
}"""

NEW = """/* From the caller's workspace: the first gap that is large enough. Gaps stand in the order of their addresses. */
static lms_block *lms_carve(lms_context *lms, size_t bytes) {
    if (!lms->carved) {
        lms->carved = true;
        lms->spare = NULL;
        size_t size = lms->workspace_size / 16 * 16;
        if (size >= sizeof(lms_block)) {
            lms->spare = lms->workspace;
            *lms->spare = (lms_block){.bytes = (int64_t)size};
        }
    }
    for (lms_block **at = &lms->spare; *at != NULL; at = &(*at)->next) {
        lms_block *gap = *at;
        if ((size_t)gap->bytes < bytes) continue;
        size_t left = (size_t)gap->bytes - bytes;
        lms_block *block = left < sizeof(lms_block) ? gap : (lms_block *)((char *)gap + left);
        if (block == gap) *at = gap->next;
        else gap->bytes = (int64_t)left;
        block->bytes = (int64_t)(block == gap ? bytes + left : bytes);
        return block;
    }
    return NULL;
}

/* Memory that the context holds, with one reference to it; NULL where none is left. */
static void *lms_new(lms_context *lms, size_t bytes, int64_t kind) {
    size_t whole = sizeof(lms_block) + (bytes + 15) / 16 * 16;
    lms_block *block = lms->workspace != NULL ? lms_carve(lms, whole) : malloc(whole);
    if (block == NULL) return NULL;
    int64_t size = lms->workspace != NULL ? block->bytes : (int64_t)whole;
    *block = (lms_block){NULL, lms->blocks, 1, size, kind, (int64_t)bytes};
    if (lms->blocks != NULL) lms->blocks->previous = block;
    lms->blocks = block;
    lms->held += (size_t)size;
    if (lms->held > lms->most) lms->most = lms->held;
    if (kind != 0) memset(block + 1, 0, bytes);
    return block + 1;
}"""

DROP = """static void lms_give_back(lms_context *lms, lms_block *block) {
    lms_block *before = NULL, *after = lms->spare;
    while (after != NULL && after < block) before = after, after = after->next;
    block->next = after;
    if (before == NULL) lms->spare = block;
    else before->next = block;
    if (after != NULL && (char *)block + block->bytes == (char *)after) {
        block->bytes += after->bytes;
        block->next = after->next;
    }
    if (before != NULL && (char *)before + before->bytes == (char *)block) {
        before->bytes += block->bytes;
        before->next = block->next;
    }
}

static void lms_drop(lms_context *lms, lms_block *block) {
    if (block->previous != NULL) block->previous->next = block->next;
    else lms->blocks = block->next;
    if (block->next != NULL) block->next->previous = block->previous;
    lms->held -= (size_t)block->bytes;
    if (lms->workspace != NULL) lms_give_back(lms, block);
    else free(block);
}"""

RELEASE = """static void lms_children(lms_context *lms, int64_t kind, void *data, int64_t bytes);

/* One reference less. What falls to none waits until it is taken apart, so that a long chain needs no deep stack. */
static inline void lms_release(lms_context *lms, void *data) {
    if (data == NULL) return;
    lms_block *block = (lms_block *)data - 1;
    if (--block->references > 0) return;
    if (block->kind == 0) {
        lms_drop(lms, block);
        return;
    }
    block->references = (int64_t)(intptr_t)lms->pending;
    lms->pending = block;
    if (lms->tearing) return;
    lms->tearing = true;
    while (lms->pending != NULL) {
        block = lms->pending;
        lms->pending = (lms_block *)(intptr_t)block->references;
        lms_children(lms, block->kind, block + 1, block->unused);
        lms_drop(lms, block);
    }
    lms->tearing = false;
}"""

RETAIN = """static inline void lms_retain(void *data) {
    if (data != NULL) ((lms_block *)data - 1)->references++;
}"""

ABANDON = """/* Give back what a call that failed has made. */
static void lms_abandon(lms_context *lms, lms_block *held) {
    while (lms->blocks != held) lms_drop(lms, lms->blocks);
    lms->pending = NULL;
    lms->tearing = false;
}"""

ARRAY = """static void *lms_array(lms_context *lms, const char *file, int line, size_t item, int64_t kind, int rank,
                       const int64_t *shape) {
    size_t bytes = item;
    for (int k = 0; k < rank; k++) {
        if (shape[k] < 0) {
            lms_fail(lms, LMS_VALUE_ERROR, file, line, "an array has no negative size, found %lld", (long long)shape[k]);
            return NULL;
        }
        if (shape[k] > 0 && bytes > (size_t)PTRDIFF_MAX / 2 / (size_t)shape[k]) {
            lms_fail(lms, LMS_MEMORY_ERROR, file, line, "no memory for an array of axis size %lld", (long long)shape[k]);
            return NULL;
        }
        bytes *= (size_t)shape[k];
    }
    void *data = lms_new(lms, bytes, kind);
    if (data == NULL) lms_fail(lms, LMS_MEMORY_ERROR, file, line, "no memory for an array of %lld bytes", (long long)bytes);
    return data;
}"""

NODES = """static void *lms_node_new(lms_context *lms, const char *file, int line, size_t bytes, int64_t kind, int32_t tag) {
    lms_node *node = lms_new(lms, bytes, kind);
    if (node == NULL) lms_fail(lms, LMS_MEMORY_ERROR, file, line, "no memory is left for another record");
    else *node = (lms_node){tag, 1};
    return node;
}"""

RETAIN_NODE = """static inline void lms_retain_node(void *node) {
    if (node != NULL && ((lms_node *)node)->counted) lms_retain(node);
}"""

RELEASE_NODE = """static inline void lms_release_node(lms_context *lms, void *node) {
    if (node != NULL && ((lms_node *)node)->counted) lms_release(lms, node);
}"""

ORDER = """/* A number that is less where the key is less; the two zeros are equal, and all NaN are the greatest. */
static inline uint64_t lms_order(double key) {
    uint64_t bits;
    key += 0.0;
    if (key != key) return UINT64_MAX;
    memcpy(&bits, &key, sizeof bits);
    return bits >> 63 ? ~bits : bits ^ ((uint64_t)1 << 63);
}"""

ARGSORT = """/* The order of n keys, equal ones as they stand: by merging. `keys` has room for four times as many numbers. */
static void lms_argsort(uint64_t *keys, int64_t *out, int64_t stride, int64_t n) {
    uint64_t *from = keys + n, *to = keys + 2 * n;
    for (int64_t i = 0; i < n; i++) from[i] = (uint64_t)i;
    for (int64_t run = 1; run < n; run *= 2) {
        for (int64_t low = 0; low < n; low += 2 * run) {
            int64_t middle = low + run < n ? low + run : n, high = low + 2 * run < n ? low + 2 * run : n;
            for (int64_t i = low, j = middle, k = low; k < high; k++) {
                if (i < middle && (j >= high || keys[from[i]] <= keys[from[j]])) to[k] = from[i++];
                else to[k] = from[j++];
            }
        }
        uint64_t *swapped = from;
        from = to;
        to = swapped;
    }
    for (int64_t i = 0; i < n; i++) out[i * stride] = (int64_t)from[i];
}"""

FORMAT = """/* As printf has it; but not-a-numbers have no sign, and zeros go before what is not finite, too. */
static const char *lms_format(char *text, size_t size, const char *format, double x) {
    snprintf(text, size, format, x != x ? (double)NAN : x);
    size_t blank = strspn(text, " ");
    if (!isfinite(x) && blank > 0 && format[strcspn(format, "0123456789.")] == '0') {
        char sign = text[blank];
        memset(text, '0', blank);
        if (sign == '-' || sign == '+') text[0] = sign, text[blank] = '0';
    }
    return text;
}"""

TEXT = """/* The shortest text that reads back as x, as Python writes it. */
static const char *lms_text(char *text, double x) {
    if (x != x) return strcpy(text, "nan");
    if (isinf(x)) return strcpy(text, x < 0 ? "-inf" : "inf");
    int digits = 1;
    do snprintf(text, 32, "%.*e", digits - 1, x); while (strtod(text, NULL) != x && ++digits <= 17);
    int exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent < -4 || exponent >= 16) return text;
    snprintf(text, 32, "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 1, x);
    return text;
}"""

COMPLEX_TEXT = """static const char *lms_complex_text(char *text, double re, double im) {
    char first[32] = "", second[32];
    bool parts = re != 0 || signbit(re);
    if (parts) lms_text(first, re);
    lms_text(second, im);
    const char *sign = !parts || second[0] == '-' ? "" : "+";
    size_t last = strlen(first);
    if (last > 2 && strcmp(first + last - 2, ".0") == 0) first[last - 2] = 0;
    last = strlen(second);
    if (last > 2 && strcmp(second + last - 2, ".0") == 0) second[last - 2] = 0;
    snprintf(text, 64, parts ? "(%s%s%sj)" : "%s%s%sj", first, sign, second);
    return text;
}"""

# In the order they stand in, by the name that calls for each.
PARTS: dict[str, str] = {
    "lms_fail": FAIL, "lms_index_error": INDEX, "LMS_TRY": TRY, "lms_too_deep": DEEP, "lms_new": NEW, "lms_array": ARRAY,
    "lms_node_new": NODES, "lms_drop": DROP, "lms_release": RELEASE, "lms_retain": RETAIN, "lms_abandon": ABANDON,
    "lms_retain_node": RETAIN_NODE, "lms_release_node": RELEASE_NODE, "lms_order": ORDER, "lms_argsort": ARGSORT,
    "lms_format": FORMAT, "lms_text": TEXT, "lms_complex_text": COMPLEX_TEXT,
}
