"""What urllib asks on a Mac for the proxies in its settings: there are none."""


def _get_proxies():
    return {}


def _get_proxy_settings():
    return {"exclude_simple": False, "exceptions": ()}
