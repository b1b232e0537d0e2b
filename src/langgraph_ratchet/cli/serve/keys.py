"""`ratchet serve keys`: the API keys of this server."""

from typing import TYPE_CHECKING, Annotated

import typer

from langgraph_ratchet.cli.printable import moment
from langgraph_ratchet.cli.terminal import open_terminal, table
from langgraph_ratchet.cli.verb import AsJson, new_verb

if TYPE_CHECKING:
    from langgraph_ratchet.serving.keys import KeyFile

app = new_verb()

_KEYS_FILE = "keys.json"


def key_file() -> "KeyFile":
    """The keys, which lie beside the traces."""
    from langgraph_ratchet.cli.environment import read_settings
    from langgraph_ratchet.serving.keys import KeyFile

    return KeyFile(read_settings().training_data_path / _KEYS_FILE)


@app.command()
def add(name: Annotated[str, typer.Argument(help="Who gets it.")], as_json: AsJson = False) -> None:
    """Make a key and print it, once: only its hash is kept. From now on every request needs a key."""
    with open_terminal(as_json) as terminal:
        key = key_file().add(name)
        terminal.line(key, "bold")
        terminal.line("Keep it: it cannot be shown again. Clients send it as 'Authorization: Bearer KEY'.")
        terminal.result({"name": name, "key": key})


@app.command()
def ls(as_json: AsJson = False) -> None:
    """List who has a key."""
    with open_terminal(as_json) as terminal:
        keys = key_file().list()
        if keys:
            listing = table("name", "made")
            for key in keys:
                listing.add_row(key.name, moment(key.created_at))
            terminal.console.print(listing)
        else:
            terminal.line("There is no API key: on this machine anybody may ask the server.")
        terminal.result({"keys": [{"name": key.name, "created_at": key.created_at} for key in keys]})


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="Whose.")], as_json: AsJson = False) -> None:
    """Forget a key. Running servers refuse it from now on."""
    with open_terminal(as_json) as terminal:
        key_file().revoke(name)
        terminal.line(f"The key of {name} is revoked.")
        terminal.result({"name": name, "revoked": True})
