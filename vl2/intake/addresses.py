"""Which addresses the server connects to for a stranger: those of the public internet, and no others.

The lists are those of IANA's special-purpose registries, written out: `ipaddress.is_global` changed its mind between
patch releases of Python, and knows no addresses of clouds.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

_CLOSED_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this machine, on Linux
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's own services, a public address in looks only
        "169.254.0.0/16",  # link-local; metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.0.2.0/24",  # documentation, as the two other /24 below
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_OPEN_6 = IPv6Network("2000::/3")  # all that was ever given out; loopback, private, link-local, multicast lie outside
_CLOSED_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo and other protocols, which carry IPv4 addresses
        "2001:db8::/32",  # documentation, as 3fff::/20
        "2002::/16",  # 6to4, which carries IPv4 addresses
        "3fff::/20",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")  # the way to IPv4 from a network without it: the last 32 bits say where to


def public_address(text: str) -> str | None:
    """The address to connect to, or None if it is not one of the public internet.

    Args:
        text: an address as `getaddrinfo` writes it; an IPv4 address in IPv6 form is unwrapped.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return str(address) if _open_4(address) else None
    if address.scope_id:  # only addresses of a local link have one
        return None
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped) if _open_4(address.ipv4_mapped) else None
    if address in _NAT64:
        return str(address) if _open_4(IPv4Address(int(address) & 0xFFFF_FFFF)) else None
    return str(address) if address in _OPEN_6 and not any(address in network for network in _CLOSED_6) else None


def _open_4(address: IPv4Address) -> bool:
    return not any(address in network for network in _CLOSED_4)
