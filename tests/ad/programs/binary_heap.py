"""A print shop: jobs wait in a binary heap by deadline, the most urgent is served next; the cost of what is late."""

import numpy as np

import lms


def push(heap, jobs, size, key, job):
    i = size
    while i > 0:
        parent = (i - 1) // 2
        if heap[parent] <= key:
            break
        heap[i] = heap[parent]
        jobs[i] = jobs[parent]
        i = parent
    heap[i] = key
    jobs[i] = job
    return size + 1


def pop(heap, jobs, size):
    key, job = heap[0], jobs[0]
    size -= 1
    last, last_job = heap[size], jobs[size]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if last <= heap[child]:
            break
        heap[i] = heap[child]
        jobs[i] = jobs[child]
        i = child
    heap[i] = last
    jobs[i] = last_job
    return key, job, size


@lms.stage
def program(arrival, work, patience):
    n = len(arrival)
    heap = np.zeros(n)
    jobs = np.zeros(n, dtype=int)
    size, served, cost = 0, 0, 0.0
    clock = 0.0
    coming = 0
    while served < n:
        while coming < n and arrival[coming] <= clock:
            size = push(heap, jobs, size, arrival[coming] + patience[coming], coming)
            coming += 1
        if size == 0:
            clock = arrival[coming]
            continue
        deadline, job, size = pop(heap, jobs, size)
        clock += work[job]
        served += 1
        if clock > deadline:
            cost += (clock - deadline) ** 2
        cost += 0.01 * clock
    return cost


POINT = (
    np.array([0.1, 0.3, 0.35, 0.95, 1.4, 4.8, 4.9]),
    np.array([0.5, 0.7, 0.3, 0.9, 0.45, 0.6, 0.2]),
    np.array([0.55, 2.0, 0.4, 0.2, 1.1, 0.15, 0.1]),
)
