"""``instruct-mner serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct_mner.cli.output import announce, console
from instruct_mner.schema.choices import Restart, ServedMissingImage


def run(
    adapters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=]ADAPTER",
            help="Run folders of 'finetune', or hub names, user/name[@revision]: adapters on one base, or one whole "
            "model.",
        ),
    ] = None,
    vllm: Annotated[
        list[str] | None, typer.Option("--vllm", help="Flag of vLLM, as --vllm=--max-model-len=4096; repeatable.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Base model that is served untuned; beside adapters, their base, if it has moved."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine need a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="File of API keys: a line for each client, its name and its key; '#' at the beginning of a line or "
            "behind a space begins a comment. Read again when it changes.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    dtype: Annotated[str, typer.Option(help="Data type of the weights: auto, bfloat16, float32.")] = "auto",
    missing_image: Annotated[
        ServedMissingImage,
        typer.Option(
            help="Posts without a picture at /v1/entities: read as text, or answered from a picture generated from "
            "their text (generate), for one model tuned with alignment.generative, which is loaded a second time, on "
            "the CPU."
        ),
    ] = "text",
    allow_remote_pictures: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DOMAIN",
            help="Domain from which pictures may be fetched; repeatable. None by default.",
            rich_help_panel="Limits",
        ),
    ] = None,
    max_body: Annotated[
        int, typer.Option(min=1, help="Largest body of a request, in megabytes.", rich_help_panel="Limits")
    ] = 16,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Largest picture that is decoded, in megapixels.", rich_help_panel="Limits")
    ] = 25,
    max_text: Annotated[
        int, typer.Option(min=1, help="Longest text, in characters.", rich_help_panel="Limits")
    ] = 20_000,
    max_labels: Annotated[
        int, typer.Option(min=1, help="Largest number of entity types in a request.", rich_help_panel="Limits")
    ] = 200,
    max_answers: Annotated[
        int, typer.Option("--max-n", min=1, help="Largest number of answers to one request.", rich_help_panel="Limits")
    ] = 16,
    max_requests: Annotated[
        int, typer.Option(min=1, help="Largest number of requests under way at once.", rich_help_panel="Limits")
    ] = 256,
    max_posts: Annotated[
        int, typer.Option(min=1, max=1024, help="Largest number of posts in a request.", rich_help_panel="Limits")
    ] = 64,
    max_rate: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="Requests a second with one key, over ten seconds; a post counts as one. No limit by default.",
            rich_help_panel="Limits",
        ),
    ] = None,
    max_queued: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Requests in vLLM, those that wait included; further ones get 503. No limit by default.",
            rich_help_panel="Limits",
        ),
    ] = None,
    max_queued_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Prompt tokens that wait in vLLM to be read; further requests get 503. No limit by default.",
            rich_help_panel="Limits",
        ),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Origin of pages whose scripts may ask; repeatable. None by default."),
    ] = None,
    access_log: Annotated[
        Path | None,
        typer.Option(help="File to which each request appends a line of JSON. None by default.", dir_okay=False),
    ] = None,
    label_studio: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Address of the Label Studio whose tasks' pictures are fetched, with the token in "
            "LABEL_STUDIO_API_KEY. None by default: their texts alone are read.",
        ),
    ] = None,
    restart: Annotated[
        Restart,
        typer.Option(
            help="Restart of vLLM. 'on-failure': start it again when it has ended, up to 5 times, with longer and "
            "longer pauses; the server stays and answers 503. 'never': end with it."
        ),
    ] = "never",
    engine_log: Annotated[
        Path | None,
        typer.Option(
            help="File of vLLM's log, renamed to FILE.1 at 10 MB. By default a temporary one, kept after a failure.",
            dir_okay=False,
        ),
    ] = None,
    print_command: Annotated[
        bool, typer.Option("--print-command", help="Print the command that starts vLLM alone, and start nothing.")
    ] = False,
) -> None:
    """Serve adapters with vLLM: OpenAI's API and /v1/entities, checked before it says ready.

    Clients must send one of the keys in --keys, or, without that, the key in INSTRUCT_MNER_API_KEY, where it is set.

    Exit codes: 0 after a signal; 2 where a setting is wrong, or vLLM does not start; where vLLM has ended, 128 + N if
    signal N ended it, and else 1.
    """
    names = ", ".join(adapters or ()) or model or "nothing"
    announce(f"serve: checking {names}")
    from instruct_mner.serving.limits import Limits
    from instruct_mner.serving.serve import serve, vllm_command_line
    from instruct_mner.serving.settings import ServeSettings, checked_domains, checked_origins

    settings = ServeSettings(
        adapters=tuple(adapters or ()),
        model=model,
        host=host,
        port=port,
        dtype=dtype,
        missing_image=missing_image,
        remote_domains=checked_domains(allow_remote_pictures or ()),
        keys=keys,
        origins=checked_origins(cors or ()),
        access_log=access_log,
        max_queued=max_queued,
        max_queued_tokens=max_queued_tokens,
        label_studio=label_studio,
        restart=restart,
        engine_log=engine_log,
        limits=Limits(
            body_bytes=max_body * 2**20,
            picture_pixels=max_pixels * 10**6,
            text_characters=max_text,
            num_labels=max_labels,
            num_choices=max_answers,
            concurrency=max_requests,
            num_posts=max_posts,
            rate=max_rate,
        ),
        vllm=tuple(vllm or ()),
    )
    if print_command:
        typer.echo(vllm_command_line(settings))
    else:
        serve(settings, console())
