/* The gradients as a careful person writes them by hand: what can be computed again is, the rest is stored once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

void llsq(const double *x, long m, long n, double *g) {
  double power[m];
  memset(g, 0, m * sizeof *g);
  for (long i = 0; i < n; i++) {
    double t = -1.0 + i * 2.0 / (n - 1), r = (t > 0) - (t < 0), p = 1.0;
    for (long j = 0; j < m; j++) { power[j] = p; r -= x[j] * p; p *= t; }
    for (long j = 0; j < m; j++) g[j] -= r * power[j];
  }
}

static double softmax(const double *x, long n, double *e) { /* log-sum-exp, and its gradient */
  double top = x[0], sum = 0.0;
  for (long i = 1; i < n; i++) top = x[i] > top ? x[i] : top;
  for (long i = 0; i < n; i++) sum += e[i] = exp(x[i] - top);
  for (long i = 0; i < n; i++) e[i] /= sum;
  return top + log(sum);
}

double lse(const double *x, long n, double *g) { return softmax(x, n, g); }

/* one slope k = f(u), u = y + c*k0, and its adjoint */
static void slope(const double *x, const double *y, double c, const double *k0, double *k, long n) {
  k[0] = x[0];
  for (long i = 1; i < n; i++) k[i] = x[i] * (y[i - 1] + c * k0[i - 1]);
}

static void pull(const double *x, const double *y, double c, const double *k0, const double *dk, double *g, double *du, long n) {
  g[0] += dk[0];
  for (long i = 1; i < n; i++) {
    du[i - 1] = x[i] * dk[i];
    g[i] += (y[i - 1] + c * k0[i - 1]) * dk[i];
  }
  du[n - 1] = 0.0;
}

void ode(const double *x, long n, long s, double *g) {
  double h = 2.0 / s, *ys = malloc((s + 1) * n * sizeof *ys), *work = calloc(8 * n, sizeof *work);
  double *k1 = work, *k2 = k1 + n, *k3 = k2 + n, *k4 = k3 + n, *dy = k4 + n, *dk = dy + n, *du = dk + n, *all = du + n;
  memset(ys, 0, n * sizeof *ys);
  for (long t = 0; t < s; t++) {
    double *y = ys + t * n, *next = y + n;
    slope(x, y, 0.0, y, k1, n); slope(x, y, h / 2, k1, k2, n); slope(x, y, h / 2, k2, k3, n); slope(x, y, h, k3, k4, n);
    for (long i = 0; i < n; i++) next[i] = y[i] + h / 6 * (k1[i] + 2 * k2[i] + 2 * k3[i] + k4[i]);
  }
  memset(g, 0, n * sizeof *g);
  dy[n - 1] = 1.0;
  for (long t = s - 1; t >= 0; t--) {
    double *y = ys + t * n;
    slope(x, y, 0.0, y, k1, n); slope(x, y, h / 2, k1, k2, n); slope(x, y, h / 2, k2, k3, n);
    for (long i = 0; i < n; i++) dk[i] = h / 6 * dy[i];
    pull(x, y, h, k3, dk, g, du, n);
    for (long i = 0; i < n; i++) { all[i] = du[i]; dk[i] = h / 3 * dy[i] + h * du[i]; }
    pull(x, y, h / 2, k2, dk, g, du, n);
    for (long i = 0; i < n; i++) { all[i] += du[i]; dk[i] = h / 3 * dy[i] + h / 2 * du[i]; }
    pull(x, y, h / 2, k1, dk, g, du, n);
    for (long i = 0; i < n; i++) { all[i] += du[i]; dk[i] = h / 6 * dy[i] + h / 2 * du[i]; }
    pull(x, y, 0.0, y, dk, g, du, n);
    for (long i = 0; i < n; i++) dy[i] += all[i] + du[i];
  }
  free(ys); free(work);
}

static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

/* the gates of one step and layer, kept for the way back: out of the layer below, hidden, cell, f, i, o, change, new, tanh(new) */
enum { BELOW, HIDDEN, CELL, FORGET, INTO, OUTOF, CHANGE, BOUNDED, KEPT };

void lstm(const double *main, const double *extra, const double *state, const double *seq, long l, long c, long b,
          double *gmain, double *gextra) {
  double *kept = malloc((c - 1) * l * KEPT * b * sizeof *kept), *now = malloc(2 * l * b * sizeof *now);
  double *outs = malloc(c * b * sizeof *outs), *share = malloc(c * b * sizeof *share), *dnow = calloc(2 * l * b, sizeof *dnow);
  double dx[b], scale = -1.0 / ((c - 1) * b);
  memcpy(now, state, 2 * l * b * sizeof *now);
  memset(gmain, 0, 8 * l * b * sizeof *gmain);
  memset(gextra, 0, 3 * b * sizeof *gextra);
  for (long t = 0; t < c - 1; t++) {
    double *x = outs + t * b;
    for (long j = 0; j < b; j++) x[j] = seq[t * b + j] * extra[j];
    for (long k = 0; k < l; k++) {
      const double *w = main + 8 * k * b, *v = w + 4 * b;
      double *q = kept + (t * l + k) * KEPT * b, *h = now + 2 * k * b, *cell = h + b;
      for (long j = 0; j < b; j++) {
        double f = sigmoid(x[j] * w[j] + v[j]), i = sigmoid(h[j] * w[b + j] + v[b + j]);
        double o = sigmoid(x[j] * w[2 * b + j] + v[2 * b + j]), u = tanh(h[j] * w[3 * b + j] + v[3 * b + j]);
        double new = cell[j] * f + i * u, bounded = tanh(new);
        q[BELOW * b + j] = x[j]; q[HIDDEN * b + j] = h[j]; q[CELL * b + j] = cell[j]; q[FORGET * b + j] = f;
        q[INTO * b + j] = i; q[OUTOF * b + j] = o; q[CHANGE * b + j] = u; q[BOUNDED * b + j] = bounded;
        cell[j] = new;
        x[j] = h[j] = o * bounded;
      }
    }
    double sum = 2.0, *e = share + t * b;
    for (long j = 0; j < b; j++) sum += e[j] = exp(x[j] * extra[b + j] + extra[2 * b + j]);
    for (long j = 0; j < b; j++) e[j] /= sum;
  }
  for (long t = c - 2; t >= 0; t--) {
    double *x = outs + t * b, gold = 0.0;
    for (long j = 0; j < b; j++) gold += seq[(t + 1) * b + j];
    for (long j = 0; j < b; j++) {
      double d = scale * (seq[(t + 1) * b + j] - gold * share[t * b + j]);
      gextra[b + j] += d * x[j];
      gextra[2 * b + j] += d;
      dx[j] = d * extra[b + j];
    }
    for (long k = l - 1; k >= 0; k--) {
      const double *w = main + 8 * k * b, *q = kept + (t * l + k) * KEPT * b;
      double *gw = gmain + 8 * k * b, *gv = gw + 4 * b, *dh = dnow + 2 * k * b, *dcell = dh + b;
      for (long j = 0; j < b; j++) {
        double f = q[FORGET * b + j], i = q[INTO * b + j], o = q[OUTOF * b + j], u = q[CHANGE * b + j], r = q[BOUNDED * b + j];
        double d = dx[j] + dh[j], dnew = dcell[j] + d * o * (1 - r * r);
        double zo = d * r * o * (1 - o), zf = dnew * q[CELL * b + j] * f * (1 - f);
        double zi = dnew * u * i * (1 - i), zu = dnew * i * (1 - u * u), below = q[BELOW * b + j], h = q[HIDDEN * b + j];
        gw[j] += zf * below; gv[j] += zf; gw[b + j] += zi * h; gv[b + j] += zi;
        gw[2 * b + j] += zo * below; gv[2 * b + j] += zo; gw[3 * b + j] += zu * h; gv[3 * b + j] += zu;
        dcell[j] = dnew * f;
        dh[j] = zi * w[b + j] + zu * w[3 * b + j];
        dx[j] = zf * w[j] + zo * w[2 * b + j];
      }
    }
    for (long j = 0; j < b; j++) gextra[j] += dx[j] * seq[t * b + j];
  }
  free(kept); free(now); free(outs); free(share); free(dnow);
}

void gmm(const double *alpha, const double *means, const double *icf, const double *x, double gamma, double m, long n, long d,
         long k, double *galpha, double *gmeans, double *gicf) {
  long size = d * (d + 1) / 2;
  double *L = calloc(k * d * d, sizeof *L), *logs = malloc(n * k * sizeof *logs), *dL = malloc(d * d * sizeof *dL);
  double xc[d], y[d], dxc[d], sums[k];
  for (long c = 0; c < k; c++) {
    const double *q = icf + c * size, *below = q + d;
    for (long j = 0; j < d; j++) {
      L[c * d * d + j * d + j] = exp(q[j]);
      for (long i = j + 1; i < d; i++) L[c * d * d + i * d + j] = *below++;
    }
    sums[c] = 0.0;
    for (long j = 0; j < d; j++) sums[c] += q[j];
  }
  for (long s = 0; s < n; s++) {
    for (long c = 0; c < k; c++) {
      double square = 0.0;
      for (long j = 0; j < d; j++) xc[j] = x[s * d + j] - means[c * d + j];
      for (long i = 0; i < d; i++) {
        double yi = 0.0;
        for (long j = 0; j <= i; j++) yi += L[c * d * d + i * d + j] * xc[j];
        square += yi * yi;
      }
      logs[s * k + c] = alpha[c] + sums[c] - 0.5 * square;
    }
    softmax(logs + s * k, k, logs + s * k);
  }
  softmax(alpha, k, galpha);
  for (long c = 0; c < k; c++) {
    double weight = 0.0, *gm = gmeans + c * d, *gq = gicf + c * size, *gbelow = gq + d;
    memset(dL, 0, d * d * sizeof *dL);
    memset(gm, 0, d * sizeof *gm);
    for (long s = 0; s < n; s++) {
      double w = logs[s * k + c];
      weight += w;
      for (long j = 0; j < d; j++) { xc[j] = x[s * d + j] - means[c * d + j]; dxc[j] = 0.0; }
      for (long i = 0; i < d; i++) {
        double yi = 0.0;
        for (long j = 0; j <= i; j++) yi += L[c * d * d + i * d + j] * xc[j];
        y[i] = -w * yi;
      }
      for (long i = 0; i < d; i++)
        for (long j = 0; j <= i; j++) {
          dL[i * d + j] += y[i] * xc[j];
          dxc[j] += y[i] * L[c * d * d + i * d + j];
        }
      for (long j = 0; j < d; j++) gm[j] -= dxc[j];
    }
    galpha[c] = weight - n * galpha[c];
    for (long j = 0; j < d; j++) {
      double e = L[c * d * d + j * d + j];
      gq[j] = weight + dL[j * d + j] * e - gamma * gamma * e * e + m;
      for (long i = j + 1; i < d; i++) *gbelow++ = dL[i * d + j] - gamma * gamma * L[c * d * d + i * d + j];
    }
  }
  free(L); free(logs); free(dL);
}

void ba(const double *cams, const double *points, const double *weights, const double *seen, const long *pairs, long n, long m,
        long p, long *starts, long *columns, double *values) {
  for (long i = 0; i < p; i++) {
    long a = pairs[2 * i], b = pairs[2 * i + 1];
    const double *r = cams + 11 * a, *C = r + 3, *X = points + 3 * b;
    double w = weights[i], q = r[0] * r[0] + r[1] * r[1] + r[2] * r[2], angle = sqrt(q), s = sin(angle), c = cos(angle);
    double x[3] = {X[0] - C[0], X[1] - C[1], X[2] - C[2]}, u[3] = {r[0] / angle, r[1] / angle, r[2] / angle};
    double R[3][3] = {{c + u[0] * u[0] * (1 - c), u[0] * u[1] * (1 - c) - u[2] * s, u[0] * u[2] * (1 - c) + u[1] * s},
                      {u[1] * u[0] * (1 - c) + u[2] * s, c + u[1] * u[1] * (1 - c), u[1] * u[2] * (1 - c) - u[0] * s},
                      {u[2] * u[0] * (1 - c) - u[1] * s, u[2] * u[1] * (1 - c) + u[0] * s, c + u[2] * u[2] * (1 - c)}};
    double z[3], T[3][3], D[3][3];
    for (int k = 0; k < 3; k++) z[k] = R[k][0] * x[0] + R[k][1] * x[1] + R[k][2] * x[2];
    /* d(R x)/dr = -R [x] (r r' + (R' - 1) [r]) / q  (Gallego and Yezzi, 2015) */
    double K[3][3] = {{0, -r[2], r[1]}, {r[2], 0, -r[0]}, {-r[1], r[0], 0}}, S[3][3] = {{0, -x[2], x[1]}, {x[2], 0, -x[0]}, {-x[1], x[0], 0}};
    for (int k = 0; k < 3; k++)
      for (int j = 0; j < 3; j++) {
        double t = r[k] * r[j] - K[k][j];
        for (int e = 0; e < 3; e++) t += R[e][k] * K[e][j];
        T[k][j] = t / q;
      }
    for (int k = 0; k < 3; k++)
      for (int j = 0; j < 3; j++) {
        double t = 0;
        for (int e = 0; e < 3; e++)
          for (int g = 0; g < 3; g++) t -= R[k][e] * S[e][g] * T[g][j];
        D[k][j] = t;
      }
    double f[2] = {z[0] / z[2], z[1] / z[2]}, r2 = f[0] * f[0] + f[1] * f[1];
    double bend = 1 + r[9] * r2 + r[10] * r2 * r2, more = 2 * r[9] + 4 * r[10] * r2;
    for (int axis = 0; axis < 2; axis++) {
      long start = 15 * (2 * i + axis), *column = columns + start;
      double *v = values + start, by[2] = {more * f[axis] * f[0], more * f[axis] * f[1]}, P[3];
      by[axis] += bend;
      P[0] = w * r[6] * by[0] / z[2];
      P[1] = w * r[6] * by[1] / z[2];
      P[2] = -(P[0] * f[0] + P[1] * f[1]);
      for (int j = 0; j < 3; j++) {
        v[j] = P[0] * D[0][j] + P[1] * D[1][j] + P[2] * D[2][j];
        v[11 + j] = P[0] * R[0][j] + P[1] * R[1][j] + P[2] * R[2][j];
        v[3 + j] = -v[11 + j];
        column[11 + j] = 11 * n + 3 * b + j;
      }
      v[6] = w * bend * f[axis];
      v[7] = axis == 0 ? w : 0;
      v[8] = axis == 1 ? w : 0;
      v[9] = w * r[6] * f[axis] * r2;
      v[10] = v[9] * r2;
      v[14] = bend * f[axis] * r[6] + r[7 + axis] - seen[2 * i + axis];
      for (int j = 0; j < 11; j++) column[j] = 11 * a + j;
      column[14] = 11 * n + 3 * m + i;
      starts[2 * i + axis] = start;
    }
  }
  for (long i = 0; i < p; i++) {
    starts[2 * p + i] = 30 * p + i;
    columns[30 * p + i] = 11 * n + 3 * m + i;
    values[30 * p + i] = -2 * weights[i];
  }
  starts[3 * p] = 31 * p;
}
