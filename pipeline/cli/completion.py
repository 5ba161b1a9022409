"""`omero-mq completion`: the script that teaches a shell to complete our commands."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer._completion_shared import get_completion_script

from pipeline.cli import call as calls
from pipeline.cli.entry import COMPLETING


class Shell(StrEnum):
    """Shells that can be taught."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def completion(context: typer.Context, shell: Annotated[Shell, typer.Argument(help="Your shell.")]) -> None:
    """Print the completion script of a shell.

    \b
    Examples:
      source <(omero-mq completion bash)
      omero-mq completion bash > /etc/bash_completion.d/omero-mq
      omero-mq completion fish > ~/.config/fish/completions/omero-mq.fish
    """  # noqa: D301 - \b keeps the lines of an example apart
    script = get_completion_script(prog_name="omero-mq", complete_var=COMPLETING, shell=shell)
    calls.of(context).output.raw(script)
