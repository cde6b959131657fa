"""A Kalman filter for position and speed, seen through a noisy position: the log likelihood of the record."""

import numpy as np

import lms

SEEN = np.array([0.1, 0.5, 0.8, 1.6, 1.9, 2.4, 3.2, 3.1])


@lms.stage
def program(log_q, log_r, damping, seen):
    F = np.array([[1.0, 0.1], [0.0, 1.0 - damping]])
    H = np.array([1.0, 0.0])
    Q = np.exp(log_q) * np.eye(2)
    r = np.exp(log_r)
    x = np.zeros(2)
    P = np.eye(2)
    loglik = 0.0
    for z in seen:
        x = F @ x
        P = F @ P @ F.T + Q
        innovation = z - H @ x
        S = H @ P @ H + r
        K = P @ H / S
        x = x + K * innovation
        P = (np.eye(2) - np.outer(K, H)) @ P
        loglik -= 0.5 * (innovation**2 / S + np.log(2 * np.pi * S))
    return loglik


POINT = (-1.0, -0.5, 0.2, SEEN)
