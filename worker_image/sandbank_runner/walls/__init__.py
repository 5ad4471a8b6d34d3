"""The walls around user code: one small module for each rule of the kernel that is used.

All of it is ctypes and the standard library, imports fast, and runs in the template before any user code
exists. What the kernel lacks is returned by name (``"landlock"``, ``"seccomp-filter"``, ...), never skipped
in silence.
"""
