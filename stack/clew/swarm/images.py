"""The images that a Swarm needs: a stage with its code, and the node that runs it."""

from __future__ import annotations

import json
from pathlib import Path

from clew import ladder, provision
from clew.core.errors import ClewError
from clew.core.paths import ROOT, STACK
from clew.core.processes import run, tail
from clew.stacks.drivers import Say

NODE_IMAGE = "clew-swarm-node:latest"
SWARM = STACK / "swarm"
SAVE_SECONDS = 180


def stage_image(number: int) -> str:
    return f"clew-stage-{number}:latest"


def build_node(say: Say) -> None:
    """Build the nodes' image; Docker's cache makes it a matter of a second when nothing changed.

    Raises:
        ImageUnavailable: it cannot be built here.
    """
    base = provision.ensure_base_image(say)
    say(f"Building {NODE_IMAGE} (15 s the first time)")
    provision.build(provision.build_command(base, NODE_IMAGE, SWARM / "node.Dockerfile", SWARM), NODE_IMAGE)


def build_stage(number: int, say: Say) -> str:
    """Build the image of a stage; return its ID.

    Raises:
        ImageUnavailable: it cannot be built here.
    """
    provision.ensure_stack_image(say)
    image = stage_image(number)
    say(f"Building {image}")
    command = provision.build_command(provision.IMAGE, image, SWARM / "stage.Dockerfile", ROOT)
    folder = ladder.stage(number).folder.name
    provision.build([*command[:-1], f"--build-arg=STAGE={folder}", command[-1]], image)
    return image_id(image)


def image_id(image: str) -> str:
    """Return an image's ID.

    A service is given the ID and not the name: a node never asks a public registry for a name that anybody could take.

    Raises:
        ClewError: there is no such image.
    """
    found = run(["docker", "image", "inspect", "--format", "{{.Id}}", image], 30, separate=True)
    if found.code != 0:
        raise ClewError(f"There is no image {image}: {tail(found.errors, 1)}", "make swarm-up")
    return found.output.strip()


def save(images: list[str], folder: Path) -> Path:
    """Write images into one file, their common layers once; return its path. What is there already is left as it is.

    Raises:
        ClewError: the engine could not.
    """
    wanted = json.dumps({image: image_id(image) for image in images})
    note, path = folder / "images.json", folder / "images.tar"
    if path.exists() and note.exists() and note.read_text() == wanted:
        return path
    note.unlink(missing_ok=True)
    done = run(["docker", "save", f"--output={path}", *images], SAVE_SECONDS)
    if done.code != 0:
        raise ClewError(f"The images could not be saved: {tail(done.output)}", "make swarm-up")
    note.write_text(wanted)
    return path


def push(image: str, name: str) -> None:
    """Push an image to a registry as `name`.

    Raises:
        ClewError: that failed.
    """
    for command in (["docker", "tag", image, name], ["docker", "push", "--quiet", name]):
        done = run(command, 600)
        if done.code != 0:
            raise ClewError(f"{name} could not be pushed: {tail(done.output)}", f"docker push {name}")
