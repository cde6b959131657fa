"""The evidence of a Gaussian process: its covariance factored by Cholesky's method in loops, then two triangular solves."""

import numpy as np

import lms

X = np.array([0.0, 0.4, 0.9, 1.7, 2.2, 3.1])


def cholesky(a):
    n = a.shape[0]
    for j in range(n):
        for k in range(j):
            a[j, j] -= a[j, k] * a[j, k]
        a[j, j] = np.sqrt(a[j, j])
        for i in range(j + 1, n):
            for k in range(j):
                a[i, j] -= a[i, k] * a[j, k]
            a[i, j] /= a[j, j]


@lms.stage
def program(log_scale, log_height, log_noise, y):
    n = len(y)
    K = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            K[i, j] = np.exp(2 * log_height) * np.exp(-0.5 * ((X[i] - X[j]) / np.exp(log_scale)) ** 2)
        K[i, i] += np.exp(2 * log_noise)
    cholesky(K)
    z = y.copy()
    evidence = -0.5 * n * np.log(2 * np.pi)
    for i in range(n):
        for k in range(i):
            z[i] -= K[i, k] * z[k]
        z[i] /= K[i, i]
        evidence -= np.log(K[i, i]) + 0.5 * z[i] ** 2
    return evidence


POINT = (-0.2, 0.1, -1.2, np.array([0.3, 0.8, 0.4, -0.5, -0.9, 0.1]))
