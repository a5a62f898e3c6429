"""On PYTHONPATH, a user's scripts too train without torch's compiler: see harness/training/no_compiler.py.

What asks for the compiler gets it; what asks it only to keep away, as optimizers do, does not load it.
"""

import importlib.util
import sys


class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "torch":
            return None
        sys.meta_path.remove(_Finder)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_leave_out(module):
            execute(module)
            from harness.training.no_compiler import leave_out_compiler

            leave_out_compiler()

        spec.loader.exec_module = execute_and_leave_out
        return spec


sys.meta_path.insert(0, _Finder)
