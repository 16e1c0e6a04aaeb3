"""`controlnet serve`: the web page and the HTTP service over one engine and one queue."""

from typing import Annotated

import typer

from controlnet.errors import MissingExtra, SettingError

EXAMPLES = """\
Examples:

  controlnet serve
  controlnet serve --base sd15/ --base other.safetensors --controls controlnets/ --memory 12
  controlnet serve --device cuda:0 --device cuda:1 --half --batch 8
  controlnet serve --ray --replicas 4 --address 10.0.0.1:6379 --base /shared/sd15
  CONTROLNET_TOKEN=… controlnet serve --host 0.0.0.0 --allow-host pictures.example.org

Requests name bases and ControlNets by the names of what is given here, never
by a place. The page is at the address that is printed. Without --host only
this machine reaches the service; with any other address a token is required.
Clients of the web UI find its dialect under /sdapi/v1 and /controlnet,
everything else is at /openapi.json (docs/serving.md). SIGTERM and Ctrl-C
finish the jobs in hand first; a second one ends them.
"""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def serve(
        host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
        port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 7860,
        token: Annotated[
            str | None,
            typer.Option(
                envvar="CONTROLNET_TOKEN",
                help="What clients must send; required for other addresses than this machine's own.",
                show_default=False,
            ),
        ] = None,
        base: Annotated[
            list[str] | None,
            typer.Option(help='"shapes", a folder, one file, or a hub id; may be repeated.'),
        ] = None,
        controls: Annotated[
            list[str] | None,
            typer.Option(help="A ControlNet, or a folder of them; may be repeated. Shipped ones come too."),
        ] = None,
        device: Annotated[
            list[str] | None, typer.Option(help="auto, cpu, cuda:1 …; one worker for each.")
        ] = None,
        half: Annotated[bool, typer.Option("--half", help="Half precision.")] = False,
        batch: Annotated[
            int, typer.Option(min=1, max=64, help="Pictures that go together when they wait; see the docs.")
        ] = 1,
        memory: Annotated[
            float | None,
            typer.Option(min=0.01, help="GB of models that a worker keeps; else a share of the device's."),
        ] = None,
        threads: Annotated[int | None, typer.Option(min=1, help="Of a worker on a CPU.")] = None,
        ray: Annotated[bool, typer.Option("--ray", help="Workers are replicas of Ray Serve.")] = False,
        replicas: Annotated[int, typer.Option(min=1, help="How many, with --ray.")] = 1,
        address: Annotated[
            str | None,
            typer.Option(help="Of a Ray cluster, with --ray; else RAY_ADDRESS, or one of its own, here."),
        ] = None,
        queue: Annotated[int, typer.Option(min=1, help="Jobs that may wait; then 429.")] = 64,
        per_client: Annotated[int, typer.Option(min=1, help="Jobs of one client that wait or run.")] = 16,
        deadline: Annotated[float, typer.Option(min=1, help="Seconds after which a job is given up.")] = 900,
        max_pixels: Annotated[int, typer.Option(min=4096, help="Of a picture to be made.")] = 2048 * 2048,
        max_steps: Annotated[int, typer.Option(min=1, max=1000, help="Of a job.")] = 150,
        max_pictures: Annotated[int, typer.Option(min=1, max=1000, help="Of a job.")] = 16,
        max_body: Annotated[int, typer.Option(min=1, max=1024, help="MB of a request.")] = 32,
        drain: Annotated[float, typer.Option(min=0, help="Seconds for the jobs in hand at the end.")] = 60,
        allow_host: Annotated[
            list[str] | None, typer.Option(help="A name by which the service is called; may be repeated.")
        ] = None,
        allow_origin: Annotated[
            list[str] | None, typer.Option(help="Of pages elsewhere that may call; may be repeated.")
        ] = None,
    ) -> None:
        """Serve pictures over HTTP: a web page, a jobs API, and the dialect of the web UI."""
        try:
            from controlnet.api.app import build
            from controlnet.api.policy import Policy, is_loopback
            from controlnet.api.server import Server, listen
            from controlnet.web import router as page
        except ImportError as error:
            raise MissingExtra(
                f"`controlnet serve` needs {error.name}; install the extra: pip install 'controlnet[serve]'"
            ) from error
        from controlnet.service import Catalog, Engine, Limits, Settings

        if token is None and not is_loopback(host):
            raise SettingError(
                f"got --host {host} without a token; wanted one for any address that others reach: set "
                "CONTROLNET_TOKEN or --token, or stay at 127.0.0.1"
            )
        if not ray and (replicas > 1 or address is not None):
            raise SettingError("got --replicas or --address without --ray; wanted --ray with them")
        if ray and len(device or ()) > 1:
            raise SettingError("got --device more than once with --ray; wanted --replicas, which share one")
        limits = Limits(
            body=max_body * 2**20,
            pixels=max_pixels,
            steps=max_steps,
            pictures=max_pictures,
            queue=queue,
            per_client=per_client,
            deadline=deadline,
        )
        policy = Policy(
            token=token,
            hosts=frozenset(allow_host or ()),
            origins=frozenset(allow_origin or ()),
            body=limits.body,
        )
        catalog = Catalog.of(base or ["shapes"], controls or [])
        settings = Settings(
            devices=tuple(device or ["auto"]),
            batch=batch,
            memory=None if memory is None else int(memory * 1e9),
            threads=threads,
            half=half,
        )
        opened = listen(host, port)
        workers = None
        if ray:
            from controlnet.service.on_ray import Replicas

            workers = Replicas(catalog, settings, limits, replicas, address)
        engine = Engine(catalog, settings, limits, workers)
        shown = f"[{host}]" if ":" in host else host
        typer.echo(f"http://{shown}:{opened.getsockname()[1]} (Ctrl-C ends it)")
        Server(build(engine, policy, further=[page()]), engine, drain).run(sockets=[opened])
