"""One envelope of every message, fixed for ever: their bytes are golden."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from maquette_protocol.codec import Envelope
from maquette_protocol.messages import (
    AttachJob,
    BlobWanted,
    CancelJob,
    Chunk,
    ChunkStored,
    CutText,
    Error,
    GetChunk,
    Hello,
    JobList,
    JobProgress,
    JobStatus,
    JobSummary,
    ListJobs,
    OfferBlob,
    Ping,
    Pong,
    Preview,
    PreviewCredit,
    PromptReading,
    PutChunk,
    SubjectResult,
    SubmitJob,
    Welcome,
)
from maquette_protocol.recipe import (
    ArrayRef,
    Camera,
    CameraRig,
    ContextObject,
    Control,
    FurtherPrior,
    Guidance,
    Lamp,
    Lighting,
    MeshRef,
    Recipe,
    Stages,
    Subject,
    SurfaceMaps,
    Times,
)

JOB = "0123456789abcdef" * 2
SUBJECT = "fedcba9876543210" * 2
HASH = "a1" * 32

MESH = MeshRef(ArrayRef("11" * 32, "f4", (8, 3)), ArrayRef("22" * 32, "i4", (12, 3)))
MESH_WITH_UVS = MeshRef(MESH.positions, MESH.triangles, ArrayRef("33" * 32, "f4", (12, 3, 2)))
MOVED = (1.0, 0.0, 0.0, 2.5, 0.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, 0.25, 0.0, 0.0, 0.0, 1.0)

RECIPE = Recipe(
    subjects=(
        Subject(SUBJECT, "Fauteuil é", "a red armchair", MESH_WITH_UVS, MOVED, "blurry", "keep_topology", 0.25, 512),
    ),
    rig=CameraRig((Camera("Camera", MOVED, 0.7, 1.5),), orbit=False),
    context=(ContextObject("Floor", MESH),),
    stages=Stages(geometry_steps=10, appearance_steps=20),
    guidance=Guidance(geometry_scale=7.5),
    seed=42,
)

PAINTED = replace(
    RECIPE.subjects[0],
    mode="texture_only", material="pbr", seed=7, keep_look=0.5,
    maps=SurfaceMaps(
        ArrayRef("55" * 32, "u1", (512, 512, 3)), ArrayRef("66" * 32, "u1", (512, 512)),
        ArrayRef("77" * 32, "u1", (512, 512)), ArrayRef("88" * 32, "u1", (512, 512, 3)),
    ),
    texel_mask=ArrayRef("99" * 32, "u1", (256, 512)),
    painted_triangles=ArrayRef("aa" * 32, "u1", (12,)),
)  # fmt: skip
PAINTED_SCENE = replace(
    RECIPE,
    subjects=(PAINTED, replace(PAINTED, subject_id="00" * 16, seed=None, maps=None, texel_mask=None)),
    stages=Stages(scene_steps=5, finish_steps=50),
    lighting=Lighting(
        ArrayRef("bb" * 32, "f4", (64, 128, 3)), (Lamp("sun", MOVED, (1.0, 0.5, 0.25), 3.0), Lamp("point", strength=100.0))
    ),
    scene_prompt="a café at night",
)
"""Everything that version 1.3 added to a recipe."""
GUIDED = replace(
    RECIPE,
    subjects=(replace(RECIPE.subjects[0], upscale=4),),
    guidance=Guidance(
        7.5, 50.0, False, "vsd", "ism", 0.25, Times((0.1, 0.98), (0.1, 0.5), "switch"), Times((0.5, 0.9), (0.02, 0.3), "square_root"),
        "uniform", "fantasia_switch", 0.2, perp_neg=True, image_loss=0.01, cg_lora=True, cg_lora_denoising=0.5, ama=0.1,
        ama_start=0.375,
    ),
)  # fmt: skip
"""Everything that version 1.4 added to a recipe."""
COMBINED = replace(
    RECIPE,
    guidance=Guidance(
        geometry_scale=100.0, geometry_scale_end=20.0, appearance_scale_end=7.5, latent_normals=0.75, normal_share=0.625
    ),
    prior_weight=1.5,
    further_priors=(FurtherPrior("zero-1", 40.0, "csd", 5.0, 6.0), FurtherPrior("xl", 0.5)),
    controls=(Control("depth", 0.75), Control("normals")),
)
"""Everything that version 1.5 added to a recipe."""

CHUNK = np.arange(5, dtype=np.uint8)
PREVIEW_ARRAYS = {
    "positions": np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float32),
    "triangles": np.array([[0, 1, 2]], dtype=np.int32),
    "colors": np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8),
}

SAMPLES: tuple[Envelope, ...] = (
    Envelope(Hello(1, 0, "maquette-blender 0.1.0", ("previews",)), 1),
    Envelope(Ping(7), 2),
    Envelope(OfferBlob(HASH, 2_500_000), 3),
    Envelope(PutChunk(HASH, 1 << 20), 4, None, {"chunk": CHUNK}),
    Envelope(GetChunk(HASH, 0, 1 << 20), 5),
    Envelope(SubmitJob(JOB, RECIPE), 6),
    Envelope(AttachJob(JOB), 7),
    Envelope(CancelJob(JOB, keep=True), 8),
    Envelope(ListJobs(), 9),
    Envelope(PreviewCredit(JOB, 2), 10),
    Envelope(Welcome(1, 0, "maquette 0.1.0", ("starter",), "CPU, 2 cores", ("zlib",), {"triangles": 500_000}), 1, 1),
    Envelope(Pong(7), 2, 2),
    Envelope(BlobWanted(HASH, ((0, 1 << 20), (2 << 20, 2_500_000))), 3, 3),
    Envelope(ChunkStored(HASH, 1 << 20, complete=False), 4, 4),
    Envelope(Chunk(HASH, 0, 5), 5, 5, {"chunk": CHUNK}),
    Envelope(
        JobStatus(
            JOB,
            "finished",
            results=(SubjectResult(SUBJECT, MESH_WITH_UVS, True, ArrayRef("44" * 32, "u1", (512, 512, 3))),),
            readings=(PromptReading(SUBJECT, 14, "near", "armchair", 0.625, (CutText("sd15", True, 9),)),),
            notices=("The network of sd15 looks at 4 pictures at a time now.",),
        ),
        6,
        6,
    ),
    Envelope(JobProgress(JOB, "geometry", SUBJECT, 3, 30, 12.5, 0.125), 7),
    Envelope(Preview(JOB, SUBJECT, "geometry", 3, 1, ("corner_uvs",)), 8, None, PREVIEW_ARRAYS),
    Envelope(JobList((JobSummary(JOB, "running", ("Fauteuil é",), 1_700_000_000.5),)), 9, 9),
    Envelope(Error("conflict", "Job 0123… was submitted with another recipe.", "Make a new id."), 10, 6),
)
