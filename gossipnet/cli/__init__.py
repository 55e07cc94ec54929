"""The command line: reads arguments, calls the package, prints. Data goes to stdout, talk to stderr.

Exit status: 0 finished, 1 the run failed, 2 bad input (a few lines and no traceback), 130 interrupted. The package
behind a command is imported when that command runs, so that `gossipnet --help` does not wait for torch.
"""

import click

from gossipnet.cli.advise import advise
from gossipnet.cli.bench import bench
from gossipnet.cli.look import list_, report, topology
from gossipnet.cli.run import node, sim, swarm
from gossipnet.cli.setup import doctor, init
from gossipnet.cli.skin import Commands

COMPLETION = 'eval "$(_GOSSIPNET_COMPLETE=bash_source gossipnet)"'


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"\b\nShell completion, in ~/.bashrc (zsh_source and fish_source for others):\n  {COMPLETION}",
)
@click.version_option(package_name="gossipnet", prog_name="gossipnet", message="%(prog)s %(version)s")
def cli() -> None:
    """Torch models that learn together, peer to peer, with no server.

    Every node trains a model on its own data and merges it with its neighbors' models. Start with

    \b
      gossipnet swarm                       eight nodes on this machine, on a ring
      gossipnet sim --nodes 200             the same experiment, simulated
      gossipnet list merges                 what --merge may be
    """


def main() -> None:
    """The console command."""
    cli.main(prog_name="gossipnet")


for command in (swarm, sim, bench, node, list_, report, topology, init, doctor):
    cli.add_command(command)
topology.add_command(advise)
