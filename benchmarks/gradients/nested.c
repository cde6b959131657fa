/* Descents whose objective needs derivatives itself, all of them by hand: forward ones are carried along, reverse ones walk
   back over a stored path. */
#include <math.h>
#include <stdlib.h>

#define PRECISION 1e-5

/* -- particle: a charge flies by two others, at (10, 10 - w) and (10, 0) --------------------------------------------- */

static void push(const double *x, double cy, double *f) { /* adds the force of the charge at (10, cy) */
  double a = x[0] - 10, b = x[1] - cy, q = a * a + b * b, r = 1 / (q * sqrt(q));
  f[0] += a * r;
  f[1] += b * r;
}

static void turn(const double *x, double cy, double da, double db, double *f) { /* its derivative, which is symmetric */
  double a = x[0] - 10, b = x[1] - cy, q = a * a + b * b, r = 1 / (q * sqrt(q)), t = 3 * (a * da + b * db) / q;
  f[0] += (da - t * a) * r;
  f[1] += (db - t * b) * r;
}

static double landing(double w) {
  double x[2] = {0, 8}, v[2] = {0.75, 0};
  while (x[1] + 0.1 * v[1] > 0) {
    double f[2] = {0, 0};
    push(x, 10 - w, f);
    push(x, 0, f);
    for (int k = 0; k < 2; k++) { x[k] += 0.1 * v[k]; v[k] += 0.1 * f[k]; }
  }
  double at = x[0] - x[1] / v[1] * v[0];
  return at * at;
}

static double landing_forward(double w) {
  double x[2] = {0, 8}, v[2] = {0.75, 0}, dx[2] = {0, 0}, dv[2] = {0, 0};
  while (x[1] + 0.1 * v[1] > 0) {
    double f[2] = {0, 0}, df[2] = {0, 0};
    push(x, 10 - w, f);
    push(x, 0, f);
    turn(x, 10 - w, dx[0], dx[1] + 1, df);
    turn(x, 0, dx[0], dx[1], df);
    for (int k = 0; k < 2; k++) {
      x[k] += 0.1 * v[k]; dx[k] += 0.1 * dv[k];
      v[k] += 0.1 * f[k]; dv[k] += 0.1 * df[k];
    }
  }
  double t = x[1] / v[1], dt = (dx[1] - t * dv[1]) / v[1], at = x[0] - t * v[0];
  return 2 * at * (dx[0] - dt * v[0] - t * dv[0]);
}

static double landing_reverse(double w) {
  static double *path;
  static long room;
  double x[2] = {0, 8}, v[2] = {0.75, 0};
  long n = 0;
  while (x[1] + 0.1 * v[1] > 0) {
    double f[2] = {0, 0};
    if (n == room) path = realloc(path, (room = 2 * room + 8) * 2 * sizeof *path);
    path[2 * n] = x[0]; path[2 * n + 1] = x[1]; n++;
    push(x, 10 - w, f);
    push(x, 0, f);
    for (int k = 0; k < 2; k++) { x[k] += 0.1 * v[k]; v[k] += 0.1 * f[k]; }
  }
  double t = x[1] / v[1], at = x[0] - t * v[0], d = 2 * at, dw = 0;
  double dx[2] = {d, -d * v[0] / v[1]}, dv[2] = {-d * t, d * v[0] * t / v[1]};
  while (n--) {
    double a[2] = {0, 0}, b[2] = {0, 0}, *here = path + 2 * n;
    turn(here, 10 - w, 0.1 * dv[0], 0.1 * dv[1], a);
    turn(here, 0, 0.1 * dv[0], 0.1 * dv[1], b);
    dw += a[1];
    for (int k = 0; k < 2; k++) { dv[k] += 0.1 * dx[k]; dx[k] += a[k] + b[k]; }
  }
  return dw;
}

double particle(double w, int reverse) {
  double (*derivative)(double) = reverse ? landing_reverse : landing_forward;
  double value = landing(w), slope = derivative(w), step = PRECISION;
  for (int better = 0; fabs(slope) > PRECISION;) {
    if (better == 10) { step *= 2; better = 0; }
    double there = w - step * slope;
    if (fabs(w - there) <= PRECISION) break;
    double value_there = landing(there);
    if (value_there < value) { w = there; value = value_there; slope = derivative(w); better++; }
    else { step /= 2; better = 0; }
  }
  return w;
}

/* -- saddle: min over x of max over y of |x|^2 - |y|^2 ---------------------------------------------------------------- */

static double f(const double *x, const double *y) { return x[0] * x[0] + x[1] * x[1] - (y[0] * y[0] + y[1] * y[1]); }

static double size(double a, double b) { return sqrt(a * a + b * b); }

/* ascent in y; `dy` is carried along, and the steps taken are stored, where they are asked for */
static long ascend(const double *x, double *y, double *dy, double **steps) {
  double value = -f(x, y), slope[2] = {2 * y[0], 2 * y[1]}, step = PRECISION;
  long taken = 0, room = 0;
  for (int better = 0; size(slope[0], slope[1]) > PRECISION;) {
    if (better == 10) { step *= 2; better = 0; }
    double there[2] = {y[0] - step * slope[0], y[1] - step * slope[1]};
    if (size(y[0] - there[0], y[1] - there[1]) <= PRECISION) break;
    double value_there = -f(x, there);
    if (value_there < value) {
      if (steps && taken == room) *steps = realloc(*steps, (room = 2 * room + 8) * sizeof **steps);
      if (steps) (*steps)[taken] = step;
      for (int k = 0; k < 2; k++) {
        if (dy) dy[k] -= step * 2 * dy[k];
        y[k] = there[k]; slope[k] = 2 * there[k];
      }
      value = value_there; better++; taken++;
    } else { step /= 2; better = 0; }
  }
  return taken;
}

static double highest(const double *x, const double *start) {
  double y[2] = {start[0], start[1]};
  ascend(x, y, 0, 0);
  return f(x, y);
}

static void by_forward(const double *x, const double *start, double *g) {
  for (int k = 0; k < 2; k++) {
    double y[2] = {start[0], start[1]}, dy[2] = {0, 0};
    ascend(x, y, dy, 0);
    g[k] = 2 * x[k] - 2 * (y[0] * dy[0] + y[1] * dy[1]);
  }
}

static void by_reverse(const double *x, const double *start, double *g) {
  double y[2] = {start[0], start[1]}, *steps = 0;
  long taken = ascend(x, y, 0, &steps);
  double dy[2] = {-2 * y[0], -2 * y[1]};
  while (taken--)
    for (int k = 0; k < 2; k++) dy[k] -= steps[taken] * 2 * dy[k];
  for (int k = 0; k < 2; k++) g[k] = 2 * x[k] + 0 * dy[k];
  free(steps);
}

void saddle(const double *start, int reverse, double *out) {
  void (*derivative)(const double *, const double *, double *) = reverse ? by_reverse : by_forward;
  double x[2] = {start[0], start[1]}, slope[2], value = highest(x, start), step = PRECISION;
  derivative(x, start, slope);
  for (int better = 0; size(slope[0], slope[1]) > PRECISION;) {
    if (better == 10) { step *= 2; better = 0; }
    double there[2] = {x[0] - step * slope[0], x[1] - step * slope[1]};
    if (size(x[0] - there[0], x[1] - there[1]) <= PRECISION) break;
    double value_there = highest(there, start);
    if (value_there < value) {
      x[0] = there[0]; x[1] = there[1]; value = value_there; better++;
      derivative(x, start, slope);
    } else { step /= 2; better = 0; }
  }
  double y[2] = {start[0], start[1]};
  ascend(x, y, 0, 0);
  out[0] = x[0]; out[1] = x[1]; out[2] = y[0]; out[3] = y[1];
}
