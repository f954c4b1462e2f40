"""E-mail: postfix(1) as a relay through a smarthost, for telephones, voicemail and our own notifications.

It runs on both nodes, for a slave has things to tell too; others reach it at the cluster IP.
"""

from __future__ import annotations

from ishmael.manager.appliance.shape import ENABLED, About, Field, File, Place, Values, invalid, is_host, needed
from ishmael.words.errors import Finding

CONF = "/etc/postfix/main.cf"
PASSWORDS = "/etc/postfix/ishmael_sasl"
_TLS = ("starttls", "tls", "none")


class Mail:
    """The service."""

    about = About(
        name="mail",
        title="E-mail",
        program="/usr/sbin/postfix",
        package="postfix",
        fields=(
            ENABLED,
            Field("smarthost", "mail server that takes all our mail"),
            Field("port", "port of the mail server", 587, 1, 65535),
            Field("tls", "security: starttls, tls (from the first byte, port 465) or none", "starttls"),
            Field("verify", "its certificate has to be good", default=True),
            Field("user", "name to log in with; empty: no login"),
            Field("domain", "domain that mail of this system comes from; empty: the node's name"),
        ),
        units=("postfix@-.service",),
        enable=("postfix.service",),
        with_master=False,
        checkers=(
            ("cp", "--preserve=timestamps", "/etc/postfix/master.cf", "{dir}/master.cf"),
            ("postconf", "-c", "{dir}", "-n"),
        ),
        quiet=True,
    )

    def check(self, values: Values, place: Place) -> list[Finding]:
        """A smarthost that can be."""
        findings = []
        if not values["smarthost"]:
            findings.append(needed("smarthost", "all mail goes through it"))
        elif not is_host(values["smarthost"]) or values["smarthost"] in (place.address, "localhost"):
            message = f"{values['smarthost']!r} is no other mail server."
            findings.append(invalid("smarthost", message, "Enter its host name, such as mail.example.org."))
        if values["tls"] not in _TLS:
            findings.append(invalid("tls", f"tls is {values['tls']!r}.", f"One of: {', '.join(_TLS)}."))
        if values["user"] and values["tls"] == "none":
            message = "A password would go over the network for all to read."
            findings.append(invalid("tls", message, "Use starttls or tls with a login."))
        if values["domain"] and not is_host(values["domain"]):
            findings.append(invalid("domain", f"{values['domain']!r} is no domain.", "Such as example.org."))
        return findings

    def files(self, values: Values, place: Place, secret: str) -> dict[str, File]:
        """Postfix's main file, whole, and the password for root alone."""
        relay = f"[{values['smarthost']}]:{values['port']}"
        level = {"none": "may"}.get(values["tls"], "secure" if values["verify"] else "encrypt")
        lines = [
            "# Written by Ishmael; change it with `ishmael services set mail`.",
            "compatibility_level = 3.6",
            f"myhostname = {place.host_name}",
            f"myorigin = {values['domain'] or '$myhostname'}",
            "mydestination =",
            "local_transport = error:no mail is kept here",
            f"relayhost = {relay}",
            f"mynetworks = 127.0.0.0/8 {place.network}",
            "inet_interfaces = all",
            "inet_protocols = ipv4",
            "smtpd_relay_restrictions = permit_mynetworks, reject",
            "smtpd_banner = $myhostname ESMTP",
            # A name server that is silent would hold every message up, and nothing here asks for names.
            "smtpd_peername_lookup = no",
            "biff = no",
            "append_dot_mydomain = no",
            f"smtp_tls_security_level = {level}",
            f"smtp_tls_wrappermode = {'yes' if values['tls'] == 'tls' else 'no'}",
            "smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt",
        ]
        made = {}
        if values["user"]:
            lines += [
                "smtp_sasl_auth_enable = yes",
                "smtp_sasl_security_options = noanonymous",
                f"smtp_sasl_password_maps = texthash:{PASSWORDS}",
            ]
            made[PASSWORDS] = File(f"{relay} {values['user']}:{secret}\n".encode(), 0o600)
        return {CONF: File(("\n".join(lines) + "\n").encode()), **made}
