"""The warm pools: a pure core that decides, a driver that acts, a manager that is their public face."""
