"""The Maquette tab of the 3D viewport's sidebar."""

from . import backend, main, paint, priors, results, settings, shape, targets

CLASSES: tuple[type, ...] = (
    targets.MAQUETTE_UL_targets,
    main.MAQUETTE_PT_main,
    shape.MAQUETTE_PT_control,
    paint.MAQUETTE_PT_paint,
    shape.MAQUETTE_PT_delivery,
    results.MAQUETTE_PT_results,
    settings.MAQUETTE_PT_cameras,
    settings.MAQUETTE_PT_advanced,
    priors.MAQUETTE_PT_priors,
    backend.MAQUETTE_PT_backend,
)
