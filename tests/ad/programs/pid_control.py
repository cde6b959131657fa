"""A tank kept warm by a PID controller with limits: the tuning's cost over a disturbance, with wind-up prevented."""

import lms


class PID:
    def __init__(self, kp, ki, kd):
        self.kp, self.ki, self.kd = kp, ki, kd

    def control(self, error, integral, previous, dt):
        u = self.kp * error + self.ki * integral + self.kd * (error - previous) / dt
        limited = max(0.0, min(1.5, u))
        if u == limited or error * u < 0.0:
            integral += error * dt
        return limited, integral


@lms.stage
def program(kp, ki, kd, target):
    controller = PID(kp, ki, kd)
    temperature, heater = 0.0, 0.0
    integral, previous = 0.0, target
    cost = 0.0
    dt = 0.1
    for k in lms.range(120):
        error = target - temperature
        u, integral = controller.control(error, integral, previous, dt)
        previous = error
        outside = -0.4 if 60 <= k < 90 else 0.0
        heater += dt * (u - heater) / 0.5
        temperature += dt * (heater - 0.7 * (temperature - outside))
        cost += dt * (error**2 + 0.01 * u**2)
    return cost


POINT = (2.1, 0.7, 0.3, 1.03)
STEP = 1e-5
