"""A pendulum swung up by a small network: an environment with limits, a policy, and the return of an episode."""

import numpy as np

import lms


class Pendulum:
    dt, g, m, length, max_torque, max_speed = 0.05, 10.0, 1.0, 1.0, 2.0, 8.0

    def step(self, state, u):
        theta, speed = state
        u = np.clip(u, -self.max_torque, self.max_torque)
        angle = (theta + np.pi) % (2 * np.pi) - np.pi
        cost = angle**2 + 0.1 * speed**2 + 0.001 * u**2
        speed = speed + (3 * self.g / (2 * self.length) * np.sin(theta) + 3.0 / (self.m * self.length**2) * u) * self.dt
        speed = np.clip(speed, -self.max_speed, self.max_speed)
        return (theta + speed * self.dt, speed), -cost


def policy(params, state):
    theta, speed = state
    x = np.array([np.cos(theta), np.sin(theta), speed])
    for w, b in params[:-1]:
        x = np.tanh(w @ x + b)
    w, b = params[-1]
    return (w @ x + b)[0]


@lms.stage
def program(params):
    env = Pendulum()
    state = (2.5, 0.0)
    total, discount = 0.0, 1.0
    for _ in lms.range(40):
        state, reward = env.step(state, policy(params, state))
        total += discount * reward
        discount *= 0.99
    return total


rng = np.random.default_rng(3)
POINT = ([(rng.normal(size=(4, 3)) * 0.5, rng.normal(size=4) * 0.1), (rng.normal(size=(1, 4)), np.zeros(1))],)
