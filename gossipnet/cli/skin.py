"""How the command line looks and fails: headings, options that are fields of an experiment, refusals."""

import contextlib
import difflib
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from gossipnet.config import options
from gossipnet.errors import BadInput
from gossipnet.options import Option
from gossipnet.settings import Choice, Number, Registered, Whole, WordOr, names

FILE = click.Path(path_type=Path)
_NO_ARGUMENTS: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())  # since click 8.2


class Commands(click.Group):
    """A group that knows its parts by heading, the nearest name to a wrong one, and the exit statuses."""

    group_class = type  # groups inside are of this class too

    def main(self, *args: Any, **extra: Any) -> Any:
        extra["standalone_mode"] = False
        status: Any
        try:
            status = super().main(*args, **extra)
        except BadInput as error:
            status = _refuse(str(error))
        except _NO_ARGUMENTS as error:  # "gossipnet" alone is a question, no mistake
            click.echo(error.ctx.get_help())
            status = 0
        except click.NoSuchOption as error:
            status = _refuse(_no_switch(error), error.ctx)
        except click.UsageError as error:
            status = _refuse(error.format_message(), error.ctx)
        except click.ClickException as error:
            status = _refuse(error.format_message())
        except click.Abort:
            click.echo("interrupted", err=True)
            status = 130
        sys.exit(status if isinstance(status, int) else 0)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if name not in self.commands and not name.startswith("-"):
            close = difflib.get_close_matches(name, self.commands, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise click.UsageError(f"no command {name!r}; {hint}known: {', '.join(self.commands)}", ctx)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # as written below, not by the alphabet

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        headings: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            heading = getattr(command, "heading", "Commands")
            headings.setdefault(heading, []).append((name, command.get_short_help_str(100)))
        _write_lists(formatter, headings)


class Command(click.Command):
    """A command that stands under a heading, and whose options do so too."""

    def __init__(self, *args: Any, heading: str = "Commands", **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.heading = heading

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        headings: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record and isinstance(param, click.Option):  # the usage line shows the arguments
                headings.setdefault(getattr(param, "heading", "Options"), []).append(record)
        _write_lists(formatter, headings)


class Setting(click.Option):
    """An option that is a field of `Experiment`: its help, default and check come from there."""

    def __init__(self, known: Option, heading: str = "", default: str | None = None) -> None:
        self.heading = heading or "Options"
        shown = "the task's own" if known.default == "" else known.default
        about = f"{known.help}  [default: {shown}]"
        names = [known.switch, known.name]
        super().__init__(names, type=Value(known), help=about, metavar=_metavar(known.check), default=default)


class Value(click.ParamType[Any]):
    """Text that the option's own check reads."""

    name = "value"

    def __init__(self, known: Option) -> None:
        self.known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self.known.read(value, self.known.switch)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        match self.known.check:
            case Choice(words):
                known: Sequence[str] = words
            case Registered(plural):
                known = names(plural)
            case _:
                known = ()
        return [CompletionItem(n) for n in known if n.startswith(incomplete)]


def _metavar(check: Any) -> str:
    match check:
        case Whole():
            return "N"
        case Number():
            return "X"
        case Choice(words):
            return "|".join(words)
        case WordOr(word, _):
            return f"{word}|N"
    return "NAME"


def columns(rows: Sequence[tuple[str, str]], screen: int | None) -> list[str]:
    """Lines of two columns, the second wrapped to what a screen of that width has left; None wraps nothing."""
    width = max((len(name) for name, _ in rows), default=0)
    wrapped = screen is not None and screen - width - 4 >= 24
    lines = []
    for name, about in rows:
        first, *more = textwrap.wrap(about, (screen or 0) - width - 4) or [""] if wrapped else [about]
        lines += [f"  {name:{width}}  {first}".rstrip(), *(f"{'':{width + 4}}{rest}" for rest in more)]
    return lines


def _write_lists(formatter: click.HelpFormatter, headings: dict[str, list[tuple[str, str]]]) -> None:
    """Two columns under each heading, the first of the same width under all."""
    width = min(28, max(len(name) for records in headings.values() for name, _ in records))
    for heading, records in headings.items():
        with formatter.section(heading):
            formatter.write_dl([(name.ljust(width), about) for name, about in records], col_max=width)


def _no_switch(error: click.NoSuchOption) -> str:
    """A wrong --option may be near to another, or be one that only a file and --set take."""
    close = list(error.possibilities or [])
    name = error.option_name.lstrip("-").replace("-", "_")
    taken = {switch for p in error.ctx.command.params for switch in p.opts} if error.ctx else set()
    meant = [o for o in options() if "--set" in taken and name in (o.name, o.key, *o.also)]
    close = [o.switch if o.switch in taken else f"--set {o.dotted}=..." for o in meant] + close
    return f"no option {error.option_name!r}" + (f"; did you mean {close[0]!r}?" if close else "")


def _refuse(message: str, ctx: click.Context | None = None) -> int:
    """Say what was wrong, in at most two lines of what may be somebody else's text."""
    shown = " ".join("".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in message).split())
    click.echo(f"error: {shown if len(shown) <= 2000 else shown[:1999] + '…'}", err=True)
    if ctx is not None:
        click.echo(f"try: {ctx.command_path} --help", err=True)
    return 2


@contextlib.contextmanager
def writing(file: Path) -> Iterator[None]:
    """Turn the ways in which a file cannot be written into BadInput."""
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{str(file)!r} cannot be written: {getattr(error, 'strerror', None) or error}") from error
