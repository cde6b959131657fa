"""Factorisations of matrices, as text: plain loops, in place, on row-major matrices without gaps."""

FACTORS = {
    "lu": """/* P L U = a with the largest pivots. f holds a columns first, then U on and above its diagonal and L below it. */
static void {f}({T} *f, int64_t *pivots, int64_t n) {{
    for (int64_t j = 0; j < n; j++) {{
        int64_t most = j;
        for (int64_t i = j + 1; i < n; i++) if (fabs{s}(f[j * n + i]) > fabs{s}(f[j * n + most])) most = i;
        pivots[j] = most;
        for (int64_t k = 0; k < n && most != j; k++) {{
            {T} swapped = f[k * n + j];
            f[k * n + j] = f[k * n + most];
            f[k * n + most] = swapped;
        }}
        if (f[j * n + j] == 0) continue;
        for (int64_t i = j + 1; i < n; i++) f[j * n + i] /= f[j * n + j];
        for (int64_t k = j + 1; k < n; k++) {{
            for (int64_t i = j + 1; i < n; i++) f[k * n + i] -= f[j * n + i] * f[k * n + j];
        }}
    }}
}}""",
    "triangular": """/* Solves with a triangle of t, or of its transpose, for the k columns of x. */
static void {f}({T} *x, const {T} *t, int64_t n, int64_t k, bool lower, bool transposed, bool unit) {{
    bool down = lower != transposed;
    for (int64_t step = 0; step < n; step++) {{
        int64_t i = down ? step : n - 1 - step;
        for (int64_t j = down ? 0 : i + 1; j < (down ? i : n); j++) {{
            {T} factor = transposed ? t[j * n + i] : t[i * n + j];
            for (int64_t c = 0; c < k; c++) x[i * k + c] -= factor * x[j * k + c];
        }}
        for (int64_t c = 0; c < k && !unit; c++) x[i * k + c] /= t[i * n + i];
    }}
}}""",
    "cholesky": """/* L with L L' = a, of which the lower triangle counts. */
static void {f}({T} *a, int64_t n) {{
    for (int64_t j = 0; j < n; j++) {{
        {T} d = a[j * n + j];
        for (int64_t k = 0; k < j; k++) d -= a[j * n + k] * a[j * n + k];
        if (!(d > 0)) {{
            for (int64_t i = 0; i < n * n; i++) a[i] = NAN;
            return;
        }}
        a[j * n + j] = sqrt{s}(d);
        for (int64_t i = j + 1; i < n; i++) {{
            for (int64_t k = 0; k < j; k++) a[i * n + j] -= a[i * n + k] * a[j * n + k];
            a[i * n + j] /= a[j * n + j];
        }}
    }}
}}""",
    "qr": """/* Q R = a by Householder's reflections. a, of m rows and n columns, is lost. */
static void {f}({T} *q, {T} *r, {T} *a, int64_t m, int64_t n) {{
    int64_t k = m < n ? m : n;
    for (int64_t j = 0; j < k; j++) {{ /* the reflection I - tau v v' with v[j] = 1; v stays below the diagonal, tau in r */
        {T} norm = 0, first = a[j * n + j];
        for (int64_t i = j + 1; i < m; i++) norm = hypot{s}(norm, a[i * n + j]);
        r[j * n + j] = 0;
        if (norm == 0) continue;
        {T} beta = -copysign{s}(hypot{s}(first, norm), first), tau = (beta - first) / beta;
        for (int64_t i = j + 1; i < m; i++) a[i * n + j] /= first - beta;
        for (int64_t c = j + 1; c < n; c++) {{
            {T} sum = a[j * n + c];
            for (int64_t i = j + 1; i < m; i++) sum += a[i * n + j] * a[i * n + c];
            a[j * n + c] -= tau * sum;
            for (int64_t i = j + 1; i < m; i++) a[i * n + c] -= tau * sum * a[i * n + j];
        }}
        a[j * n + j] = beta;
        r[j * n + j] = tau;
    }}
    for (int64_t i = 0; i < m; i++) {{
        for (int64_t c = 0; c < k; c++) q[i * k + c] = i == c;
    }}
    for (int64_t j = k - 1; j >= 0; j--) {{
        {T} tau = r[j * n + j];
        for (int64_t c = j; c < k; c++) {{
            {T} sum = q[j * k + c];
            for (int64_t i = j + 1; i < m; i++) sum += a[i * n + j] * q[i * k + c];
            q[j * k + c] -= tau * sum;
            for (int64_t i = j + 1; i < m; i++) q[i * k + c] -= tau * sum * a[i * n + j];
        }}
    }}
    for (int64_t i = 0; i < k; i++) {{
        for (int64_t c = 0; c < n; c++) r[i * n + c] = c < i ? 0 : a[i * n + c];
    }}
}}""",
}
