"""A track with position and speed in the plane: a Kalman filter and a smoother back over it, with NumPy's linear algebra."""

import numpy as np

import lms

SEEN = np.array([[0.0, 0.1], [0.9, 0.4], [2.2, 0.7], [2.9, 1.6], [4.1, 1.9]])


@lms.stage
def program(log_q, log_r, drag):
    n = len(SEEN)
    F = np.eye(4)
    F[0, 1] = F[2, 3] = 1.0
    F[1, 1] -= drag
    F[3, 3] -= drag
    H = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    Q, R = np.exp(log_q) * np.eye(4), np.exp(log_r) * np.eye(2)
    x, P = np.zeros(4), 4.0 * np.eye(4)
    means, covariances = np.zeros((n, 4)), np.zeros((n, 4, 4))
    loglik = 0.0
    for t in lms.range(n):
        x, P = F @ x, F @ P @ F.T + Q
        S = H @ P @ H.T + R
        e = SEEN[t] - H @ x
        x = x + P @ H.T @ np.linalg.solve(S, e)
        P = P - P @ H.T @ np.linalg.solve(S, H @ P)
        loglik -= 0.5 * (e @ np.linalg.solve(S, e) + np.log(np.linalg.det(S)))
        means[t], covariances[t] = x, P
    for t in lms.range(n - 2, -1, -1):
        ahead = F @ covariances[t] @ F.T + Q
        G = covariances[t] @ F.T @ np.linalg.inv(ahead)
        means[t] = means[t] + G @ (means[t + 1] - F @ means[t])
    return loglik + (means[:, 0] ** 2).sum()


POINT = (-1.5, -1.0, 0.1)
