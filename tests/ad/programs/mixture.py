"""A mixture of two normal distributions fitted by expectation and maximisation: the likelihood after some rounds, by its start."""

import numpy as np

import lms

DATA = np.array([-2.1, -1.7, -1.2, -0.4, 0.3, 0.9, 1.4, 1.8, 2.6, 3.1])


def density(x, mean, variance):
    return np.exp(-0.5 * (x - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)


@lms.stage
def program(means, log_variances, logit, data):
    means, variances = means.copy(), np.exp(log_variances)
    share = 1.0 / (1.0 + np.exp(-logit))
    for _ in lms.range(6):
        a = share * density(data, means[0], variances[0])
        b = (1.0 - share) * density(data, means[1], variances[1])
        r = a / (a + b)
        for k, weights in enumerate([r, 1.0 - r]):
            means[k] = weights @ data / weights.sum()
            variances[k] = weights @ (data - means[k]) ** 2 / weights.sum() + 1e-3
        share = r.mean()
    return np.log(share * density(data, means[0], variances[0])
                  + (1.0 - share) * density(data, means[1], variances[1])).sum()


POINT = (np.array([-1.0, 1.5]), np.array([0.1, -0.2]), 0.3, DATA)
