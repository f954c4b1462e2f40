"""The phone system an admin would have on each node: a real Asterisk with a few phones.

Asterisk comes from a Debian sid root, for Debian 12 has none; it runs there as a unit of the node with the node's own
configuration and data. PJSIP is bound to the cluster IP, so that it can run on a node that does not hold the address.
"""

from __future__ import annotations

from collections.abc import Mapping

from ishmael.lab.plan import CLUSTER_IP

PHONES = tuple(str(number) for number in range(101, 111))
ECHO_EXTENSION = "600"
ROOT = "/opt/asterisk"
LIBRARIES = f"{ROOT}/usr/lib/x86_64-linux-gnu:{ROOT}/lib/x86_64-linux-gnu"
DATA = ("etc/asterisk", "var/lib/asterisk", "var/spool/asterisk", "var/log/asterisk", "var/cache/asterisk")
"""Directories of the Asterisk root that the node has for itself."""


def password(phone: str) -> str:
    """SIP password of a phone."""
    return f"whale-{phone}"


UNIT = f"""\
[Unit]
Description=Asterisk PBX
After=network.target

[Service]
Type=notify
RootDirectory={ROOT}
MountAPIVFS=yes
BindPaths={" ".join("/" + path for path in DATA)}
BindReadOnlyPaths=/etc/hosts /etc/resolv.conf
RuntimeDirectory=asterisk
User=asterisk
Group=asterisk
ExecStart=/usr/sbin/asterisk -f -C /etc/asterisk/asterisk.conf
Restart=on-failure
RestartSec=1
StandardOutput=null
StandardError=journal

[Install]
WantedBy=multi-user.target
"""

# The program of the Asterisk root with the libraries of that root, but in the node's own file system: what
# `asterisk -rx` needs (its socket, its configuration) lies there.
WRAPPER = f"""\
#!/bin/sh
exec {ROOT}/lib64/ld-linux-x86-64.so.2 --library-path {LIBRARIES} {ROOT}/usr/sbin/asterisk "$@"
"""

ASTERISK_CONF = """\
[directories]
astcachedir => /var/cache/asterisk
astetcdir => /etc/asterisk
astmoddir => /usr/lib/x86_64-linux-gnu/asterisk/modules
astvarlibdir => /var/lib/asterisk
astdbdir => /var/lib/asterisk
astkeydir => /var/lib/asterisk
astdatadir => /usr/share/asterisk
astagidir => /usr/share/asterisk/agi-bin
astspooldir => /var/spool/asterisk
astrundir => /run/asterisk
astlogdir => /var/log/asterisk
astsbindir => /usr/sbin

[options]
documentation_language = en_US
"""

# Named one by one: Asterisk starts in a third of the time that loading everything takes.
MODULES = (
    *("res_timing_timerfd", "res_sorcery_astdb", "res_sorcery_config", "res_sorcery_memory", "res_pjproject"),
    *("res_http_websocket", "res_websocket_client", "res_crypto", "res_pjsip", "res_pjsip_session"),
    *("res_pjsip_sdp_rtp", "res_rtp_asterisk", "res_pjsip_pubsub", "res_pjsip_outbound_publish"),
    *("res_pjsip_registrar", "res_pjsip_authenticator_digest", "res_pjsip_outbound_authenticator_digest"),
    *("res_pjsip_outbound_registration", "res_pjsip_endpoint_identifier_user", "res_pjsip_endpoint_identifier_ip"),
    *("res_pjsip_caller_id", "res_pjsip_nat", "res_pjsip_rfc3326", "res_pjsip_refer", "res_pjsip_dtmf_info"),
    *("res_pjsip_acl", "res_pjsip_logger", "chan_pjsip", "func_pjsip_endpoint", "func_pjsip_contact"),
    *("bridge_simple", "bridge_native_rtp", "bridge_softmix", "bridge_holding", "bridge_builtin_features"),
    *("codec_ulaw", "codec_alaw", "codec_a_mu", "codec_gsm", "format_gsm", "format_pcm", "format_wav"),
    *("pbx_config", "app_dial", "app_echo", "app_playback", "app_stack", "app_userevent", "app_verbose"),
    *("func_channel", "func_callerid", "func_cdr", "func_logic", "func_strings", "cdr_csv"),
)

PJSIP_HEAD = f"""\
[global]
type = global
user_agent = Ishmael lab

[udp]
type = transport
protocol = udp
bind = {CLUSTER_IP}:5060

[phone](!)
type = endpoint
transport = udp
context = phones
disallow = all
allow = ulaw,alaw
direct_media = no
rtp_symmetric = yes
media_address = {CLUSTER_IP}
bind_rtp_to_media_address = yes
"""

PJSIP_PHONE = """
[{phone}](phone)
auth = {phone}
aors = {phone}
callerid = Phone {phone} <{phone}>

[{phone}]
type = auth
auth_type = userpass
username = {phone}
password = {password}

[{phone}]
type = aor
max_contacts = 1
remove_existing = yes
"""

EXTENSIONS = f"""\
[phones]
exten => {ECHO_EXTENSION},1,Answer()
 same => n,Echo()
 same => n,Hangup()
exten => _1XX,1,Dial(PJSIP/${{EXTEN}},30)
 same => n,Hangup()
"""

MANAGER = """\
[general]
enabled = yes
bindaddr = 127.0.0.1
port = 5038

[watch]
secret = harpoon
read =
write =
"""


def asterisk_files() -> Mapping[str, str]:
    """Path below ``/`` and content of each file of Asterisk, all in ``/etc``."""
    phones = "".join(PJSIP_PHONE.format(phone=phone, password=password(phone)) for phone in PHONES)
    modules = "[modules]\nautoload = no\n" + "".join(f"load = {name}.so\n" for name in MODULES)
    return {
        "etc/systemd/system/asterisk.service": UNIT,
        "etc/asterisk/asterisk.conf": ASTERISK_CONF,
        "etc/asterisk/modules.conf": modules,
        "etc/asterisk/pjsip.conf": PJSIP_HEAD + phones,
        "etc/asterisk/rtp.conf": "[general]\nrtpstart = 10000\nrtpend = 20000\n",
        "etc/asterisk/extensions.conf": EXTENSIONS,
        "etc/asterisk/manager.conf": MANAGER,
        "etc/asterisk/logger.conf": "[logfiles]\nmessages.log => notice,warning,error\n",
        "etc/asterisk/cdr.conf": "[general]\nenable = yes\n\n[csv]\nusegmtime = no\nloguniqueid = yes\n",
    }


def program_files() -> Mapping[str, str]:
    """Path below ``/`` and content of each program of Asterisk outside ``/etc`` and ``/var``."""
    return {"usr/sbin/asterisk": WRAPPER}
