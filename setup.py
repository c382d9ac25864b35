"""What pyproject.toml cannot say: the cffi module, the wheel's tag and the need of a C compiler."""

import shutil
import sysconfig

import cffi  # noqa: F401  (without it setuptools would leave the extension out, and only warn)
from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import PlatformError


class BuildExt(build_ext):
    """Compile the extension, or say in a sentence that there is nothing to compile it with."""

    def build_extensions(self):
        compiler = getattr(self.compiler, "compiler_so", None)
        if compiler and shutil.which(compiler[0]) is None:
            raise PlatformError(
                f"parsum is built from C source and the C compiler {compiler[0]!r} was not found: "
                "install GCC or Clang, or set the environment variable CC to the one to use"
            )
        super().build_extensions()


class BdistWheel(bdist_wheel):
    """Tag the wheel for every later Python where cffi builds for the limited API."""

    def finalize_options(self):
        # cffi has decided by now; free-threaded Python has no such wheels up to 3.14.
        limited = all(extension.py_limited_api for extension in self.distribution.ext_modules)
        if limited and not sysconfig.get_config_var("Py_GIL_DISABLED"):
            self.py_limited_api = "cp311"
        super().finalize_options()


setup(
    cffi_modules=["build_ffi.py:ffibuilder"],
    cmdclass={"build_ext": BuildExt, "bdist_wheel": BdistWheel},
)
