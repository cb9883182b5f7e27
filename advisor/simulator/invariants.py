"""x."""


def check(world, requests, groups):
    pass
