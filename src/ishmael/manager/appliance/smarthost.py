"""What a mail server says to the settings of the e-mail service: asked as far as the login, and nothing is sent."""

from __future__ import annotations

from ishmael.manager.appliance.shape import Values
from ishmael.manager.ports.hands import Hands


def smarthost_trouble(hands: Hands, values: Values, secret: str) -> tuple[str, str]:
    """Why no mail could be handed over.

    Args:
        hands: ports to look with.
        values: settings of the service.
        secret: its password, or empty.

    Returns:
        The setting that it is about, and the reason as a sentence; two empty texts when it works.
    """
    host, port = values["smarthost"], values["port"]
    login = (values["user"], secret if values["user"] else "")
    trouble, said = hands.programs.login_trouble(host, port, values["tls"], login, verify=values["verify"])
    if not trouble:
        return "", ""
    return {
        "unknown": ("smarthost", f"There is no mail server {host}: {said}."),
        "login": ("user", f"{host} refuses the login: {said}."),
        "tls": ("tls", f"The line to {host} cannot be secured: {said}."),
    }.get(trouble, ("smarthost", f"{host} does not answer at port {port}: {said}."))
