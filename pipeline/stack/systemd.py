"""The services as hardened systemd units: a template for each service, one that prepares, and a target for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import Misconfigured
from pipeline.stack.directory import write_atomically

TARGET, TEMPLATE, PREPARE = "omero-mq.target", "omero-mq@.service", "omero-mq-init.service"
DEFAULT_DIRECTORY = Path("/etc/systemd/system")
SECRETS_DIRECTORY = Path("/etc/omero-mq/secrets")
SECRETS = ("omero_password", "state_password")
KNOWN_SECRETS = (*SECRETS, "cdc_password", "kafka_client")

# Nothing here needs a right that a plain program without files of its own does not have. Not among them:
# MemoryDenyWriteExecute, which libffi's callbacks may run into, and IPAddressAllow, which nobody but the site can fill in.
_SANDBOX = """\
DynamicUser=yes
StateDirectory=omero-mq
StateDirectoryMode=0700
WorkingDirectory=%S/omero-mq
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
LockPersonality=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
"""

_HEAD = "# Written by `omero-mq install --systemd`; changes of your own go into drop-ins: systemctl edit {unit}\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """What the units of one machine say.

    Attributes:
        command: path of the command `omero-mq`.
        services: names as in `omero-mq run NAME`.
        secrets: which settings come from files in `secrets_directory`, each named ROOM_FIELD.
    """

    command: Path
    services: Sequence[str]
    secrets: Sequence[str] = SECRETS
    secrets_directory: Path = SECRETS_DIRECTORY


def units(site: Site) -> dict[str, str]:
    """File name -> text.

    Raises:
        Misconfigured: a path or a secret's name is none that a unit can say.
    """
    _check(site)
    wants = " ".join(TEMPLATE.replace("@", f"@{name}") for name in site.services)
    target = f"[Unit]\nDescription=omero-mq: {', '.join(site.services)}\nWants={wants}\n\n[Install]\nWantedBy=multi-user.target\n"
    found = {TARGET: target, PREPARE: _prepare(site), TEMPLATE: _template(site)}
    return {name: _HEAD.format(unit=name.replace("@.", "@NAME.")) + text for name, text in found.items()}


def write(site: Site, directory: Path) -> list[Path]:
    """Writes the units; idempotent. Returns the files that were not there, or said something else before.

    Raises:
        Misconfigured: see `units`; or the directory cannot be written to.
    """
    changed = []
    for name, text in units(site).items():
        path = directory / name
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                write_atomically(path, text, mode=0o644)
                changed.append(path)
        except OSError as error:
            raise Misconfigured(
                f"{path} cannot be written: {error.strerror}", fix="run it as root, or name another place with --directory"
            ) from error
    return changed


def _template(site: Site) -> str:
    return (
        "[Unit]\nDescription=omero-mq %i\n"
        f"Wants=network-online.target {PREPARE}\nAfter=network-online.target postgresql.service {PREPARE}\nPartOf={TARGET}\n"
        # Exit status 1 says that a person is needed, and how; trying again now and then finds out whether somebody came.
        "StartLimitIntervalSec=0\n\n"
        f"[Service]\nType=notify\nNotifyAccess=main\nExecStart={site.command} run %i\n"
        "WatchdogSec=30s\nTimeoutStartSec=infinity\nTimeoutStopSec=30s\nRestart=on-failure\nRestartSec=10s\n"
        "RestartPreventExitStatus=2\nOOMPolicy=stop\nMemoryMax=512M\nTasksMax=128\nLimitNOFILE=65536\n"
        f"{_secrets(site)}\n{_SANDBOX}\n[Install]\nWantedBy={TARGET}\n"
    )


def _prepare(site: Site) -> str:
    return (
        "[Unit]\nDescription=omero-mq: state database, topics, groups\n"
        f"Wants=network-online.target\nAfter=network-online.target postgresql.service\nPartOf={TARGET}\n\n"
        f"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={site.command} init\nTimeoutStartSec=120s\n"
        f"Restart=on-failure\nRestartSec=10s\n{_secrets(site)}\n{_SANDBOX}"
    )


def _secrets(site: Site) -> str:
    """The service manager reads each file as root and shows it to this service alone; the variable says where."""
    lines = ["Environment=OMERO_MQ_LOG_FORMAT=json PYTHONDONTWRITEBYTECODE=1"]
    for name in site.secrets:
        lines += [f"LoadCredential={name}:{site.secrets_directory / name}", f"Environment=OMERO_MQ_{name.upper()}_FILE=%d/{name}"]
    return "\n".join(lines) + "\n"


def _check(site: Site) -> None:
    for path in (site.command, site.secrets_directory):
        if not path.is_absolute() or any(character.isspace() or character in "%\"'\\$" for character in str(path)):
            raise Misconfigured(f"{path} cannot stand in a unit", fix="use an absolute path without spaces, quotes, % and $")
    for name in site.secrets:
        if name not in KNOWN_SECRETS:
            raise Misconfigured(f"there is no secret {name!r}", fix=f"choose of {', '.join(KNOWN_SECRETS)}")
