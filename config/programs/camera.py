"""A simulated camera: takes a while for each picture, and publishes that there is one."""

import atexit
import time

from Pyro5.api import behavior, expose

from pyro_events import Publisher

EXPOSURE = 0.05
"""Seconds."""


@expose
@behavior(instance_mode="single")
class Camera:
    """One instance for all clients, because there is only one device."""

    def __init__(self):
        self._pictures = 0
        self._publisher = Publisher()
        atexit.register(self._publisher.close)

    def snap(self):
        time.sleep(EXPOSURE)
        self._pictures += 1
        self._publisher.publish("lab.camera.picture", self._pictures)
        print(f"picture {self._pictures}")
        return bytes(16)
