"""Job functions that stand in for the refinement where supervision is tested: they count steps and keep checkpoints.

Every run leaves a line in ``runs.log`` and every step one in ``steps.log``, in the folder named by FAULT_LOG, so that
a test sees what really ran, in which process.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
from maquette_backend.refine.events import PreviewFrame, Progress, RefinedSubject
from maquette_protocol.messages import PromptReading


def _log(name: str, line: str) -> None:
    with (Path(os.environ["FAULT_LOG"]) / name).open("a") as file:
        file.write(line + "\n")


def count_steps(recipe, read, events, checkpoints, priors) -> None:
    """``geometry_steps`` steps of 10 ms; the result is the mesh moved by 0.01 a step along X."""
    subject = recipe.subjects[0]
    positions = np.asarray(read(subject.mesh.positions), np.float32).copy()
    triangles = np.asarray(read(subject.mesh.triangles), np.int32)
    held = checkpoints.load()
    done = 0 if held is None else int(held[1]["step"])
    positions = positions if held is None else held[0]["positions"]
    _log("runs.log", f"{os.getpid()} {done}")
    steps = recipe.stages.geometry_steps
    while done < steps:
        wish = events.wish()
        if wish == "cancel":
            checkpoints.save({"positions": positions}, {"step": str(done)})
            return
        if wish == "stop_and_keep":
            break
        positions = positions + np.float32([0.01, 0, 0])
        done += 1
        time.sleep(0.01)
        _log("steps.log", str(done))
        events.progress(Progress("geometry", subject.subject_id, done, steps, (steps - done) * 0.01, 1.0 / done))
        if done % 5 == 0:
            checkpoints.save({"positions": positions}, {"step": str(done)})
        if events.preview_wanted():
            events.preview(PreviewFrame(subject.subject_id, "geometry", done, 0, positions, triangles))
    picture = np.full((4, 4, 3), done % 256, np.uint8)
    uvs = np.zeros((len(triangles), 3, 2), np.float32)
    events.finished(RefinedSubject(subject.subject_id, True, positions, triangles, uvs, picture))


def poison(recipe, read, events, checkpoints, priors) -> None:
    """Kills its worker."""
    _log("runs.log", str(os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)


def run_out_of_memory(recipe, read, events, checkpoints, priors) -> None:
    raise MemoryError("14 GiB were asked for")


def break_down(recipe, read, events, checkpoints, priors) -> None:
    print("a library prints to standard output")
    os.write(1, b"and so does native code\n")
    raise ZeroDivisionError("of a defect")


def burn_all_cores(recipe, read, events, checkpoints, priors) -> None:
    """Keeps every core busy with numpy until it is cancelled, as a refinement does."""
    from concurrent.futures import ThreadPoolExecutor

    rng = np.random.default_rng(0)
    matrix = rng.random((400, 400))
    _log("runs.log", str(os.getpid()))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while events.wish() == "go_on":
            list(pool.map(lambda _: matrix @ matrix, range(64)))


def give_notice(recipe, read, events, checkpoints, priors) -> None:
    """Says more than is kept, and some of it twice; then works as ``count_steps`` does."""
    for number in range(12):
        events.notice(f"Notice {number}." + "x" * 300)
        events.notice("Out of memory: it takes longer now.")
    count_steps(recipe, read, events, checkpoints, priors)


def read_prompts(recipe, read, events, checkpoints, priors) -> None:
    """Tells what a prior made of the prompts, then works as ``count_steps`` does."""
    subject_id = recipe.subjects[0].subject_id
    events.prompts_read((PromptReading(subject_id, 5, "unknown", "statue" * 100, 0.25),))
    count_steps(recipe, read, events, checkpoints, priors)
