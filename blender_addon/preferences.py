"""Where the backend is and how to start one."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false

from pathlib import Path

import bpy
from bpy.props import StringProperty

from ._protocol import auth


def _reconnect(_self: bpy.types.AddonPreferences, _context: bpy.types.Context) -> None:
    from . import pump

    pump.runtime().reconnect()


class MaquettePreferences(bpy.types.AddonPreferences):
    """The add-on's preferences."""

    bl_idname = __package__ or "blender_addon"

    connection_file: StringProperty(
        name="Connection File",
        description="File with the backend's address and keys. Empty: the one that Start Backend writes",
        subtype="FILE_PATH",
        update=_reconnect,
    )
    backend_python: StringProperty(
        name="Backend Python",
        description="Python executable of the environment in which maquette[backend] is installed",
        subtype="FILE_PATH",
    )
    backend_home: StringProperty(
        name="Backend Home",
        description="Folder for the backend's jobs and files. Empty: a folder in Blender's user directory",
        subtype="DIR_PATH",
    )

    def draw(self, context: bpy.types.Context) -> None:
        """Blender's preferences window."""
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "backend_python")
        layout.prop(self, "backend_home")
        layout.prop(self, "connection_file")
        if not bpy.app.online_access:
            layout.label(text="Online access is off: only a backend on this machine is used", icon="INFO")


def get(context: bpy.types.Context | None = None) -> MaquettePreferences:
    """The add-on's preferences."""
    addons = (context or bpy.context).preferences.addons
    return addons[__package__ or ""].preferences


def user_folder() -> Path:
    """The only folder this extension writes to; an upgrade keeps it."""
    package = __package__ or ""
    if package.startswith("bl_ext."):
        return Path(bpy.utils.extension_path_user(package, create=True))
    return Path(bpy.utils.user_resource("CONFIG", path="maquette", create=True))


def connection_path() -> Path:
    """The connection file in use."""
    chosen = get().connection_file
    return Path(bpy.path.abspath(chosen)) if chosen else user_folder() / "backend" / auth.CONNECTION_FILE_NAME


def home_path() -> Path:
    """The home of a backend that this add-on starts."""
    chosen = get().backend_home
    return Path(bpy.path.abspath(chosen)) if chosen else user_folder() / "backend" / "home"


CLASSES = (MaquettePreferences,)
