"""One step of training a variational autoencoder: encode, draw with given noise, decode, the evidence bound, and gradient descent."""

import numpy as np

import lms

rng = np.random.default_rng(19)
NOISE = rng.normal(size=(4, 2))


def relu(x):
    return np.maximum(x, 0.0)


def dense(layer, x):
    return x @ layer["w"] + layer["b"]


@lms.stage
def program(params, x):
    h = relu(dense(params["encoder"], x))
    mean, log_variance = dense(params["mean"], h), dense(params["spread"], h)
    z = mean + np.exp(0.5 * log_variance) * NOISE
    logits = dense(params["out"], np.tanh(dense(params["decoder"], z)))
    likelihood = np.sum(x * logits - np.logaddexp(0.0, logits), axis=1)
    divergence = 0.5 * np.sum(np.exp(log_variance) + mean**2 - 1.0 - log_variance, axis=1)
    return np.mean(divergence - likelihood)


def layer(n, m):
    return {"w": rng.normal(size=(n, m)) / np.sqrt(n), "b": 0.1 * rng.normal(size=m)}


POINT = (
    {"encoder": layer(5, 4), "mean": layer(4, 2), "spread": layer(4, 2), "decoder": layer(2, 4), "out": layer(4, 5)},
    (rng.uniform(size=(4, 5)) > 0.5).astype(float),
)
WRT = (0,)
STEP = 1e-4
