"""What user code brings along to attack with; sent in front of each attack."""

TOOLS = r'''
import ctypes, errno, json, os, platform, resource, signal, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def attempt(work):
    """The name of the error with which an attempt failed, "done" when it did not."""
    try:
        work()
    except OSError as error:
        return errno.errorcode.get(error.errno, error.errno)
    return "done"

def call(name, *arguments):
    """Make a system call by its name; OSError when it fails."""
    from sandbank_runner.walls.numbers import NUMBERS
    numbers = {**NUMBERS, **MORE}[name]
    number = numbers[platform.machine() == "aarch64"]
    if number is None:
        raise OSError(errno.ENOSYS, "not on this machine")
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    return result

MORE = {
    "acct": (163, 89), "adjtimex": (159, 171), "clock_settime": (227, 112), "delete_module": (176, 106),
    "finit_module": (313, 273), "init_module": (175, 105), "ioperm": (173, None), "iopl": (172, None),
    "kexec_load": (246, 104), "quotactl": (179, 60), "reboot": (169, 142), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "setdomainname": (171, 162), "sethostname": (170, 161), "swapoff": (168, 225),
    "swapon": (167, 224), "syslog": (103, 116), "tgkill": (234, 131), "vhangup": (153, 58),
    "landlock_restrict_self": (446, 446), "lookup_dcookie": (212, 18), "setfsuid": (122, 151), "setns": (308, 268),
}

def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)

def population():
    """All processes by name and uid; those that end while they are looked at are none."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            status = status_of(name)
        except OSError:
            continue
        found.append((status["Name"], int(status["Uid"].split()[0]), int(name)))
    return found

def strangers():
    """Supervisor and template, processes of other users."""
    return {name: pid for name, uid, pid in population() if uid != os.getuid() and name != "files"}

supervisor, template = strangers()["supervisor"], strangers()["template"]

def tell(value):
    print(json.dumps(value))
'''
