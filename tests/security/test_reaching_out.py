"""Attempts of user code to reach its supervisor, its template, or beyond: each is refused, and it serves on."""

from __future__ import annotations

import pytest

from tests.security.attack import TOOLS
from tests.security.sandbox import Sandbox

pytestmark = pytest.mark.engine

BOTH = ("supervisor", "template")

ON_A_PROCESS = {
    # name: (expression on `pid`, error)
    "kill": ("os.kill(pid, signal.SIGKILL)", "EPERM"),
    "stop": ("os.kill(pid, signal.SIGSTOP)", "EPERM"),
    "probe": ("os.kill(pid, 0)", "EPERM"),
    "tgkill": ("call('tgkill', pid, pid, 9)", "EPERM"),
    "sigqueue": ("call('rt_sigqueueinfo', pid, 9, struct.pack('3i', 9, 0, -1) + bytes(200))", "EPERM"),
    "pidfd_signal": ("signal.pidfd_send_signal(os.pidfd_open(pid), 9)", "EPERM"),
    "pidfd_getfd": ("call('pidfd_getfd', os.pidfd_open(pid), 3, 0)", "EPERM"),
    "ptrace_attach": ("call('ptrace', 16, pid, 0, 0)", "EPERM"),
    "ptrace_seize": ("call('ptrace', 0x4206, pid, 0, 0)", "EPERM"),
    "read_memory": ("call('process_vm_readv', pid, 0, 0, 0, 0, 0)", "EPERM"),
    "write_memory": ("call('process_vm_writev', pid, 0, 0, 0, 0, 0)", "EPERM"),
    "compare": ("call('kcmp', os.getpid(), pid, 0, 0, 0)", "EPERM"),
    "get_limit": ("resource.prlimit(pid, resource.RLIMIT_NOFILE)", "EPERM"),
    "set_limit": ("resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 0))", "EPERM"),
    "priority": ("os.setpriority(os.PRIO_PROCESS, pid, 19)", "EPERM"),
    "priority_of_user": ("os.setpriority(os.PRIO_USER, int(status_of(pid)['Uid'].split()[0]), 19)", "EPERM"),
    "affinity": ("os.sched_setaffinity(pid, {0})", "EPERM"),
    "scheduler": ("os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))", "EPERM"),
    "io_priority": ("call('ioprio_set', 1, pid, 0)", "EPERM"),
    "process_group": ("os.setpgid(pid, os.getpid())", "ESRCH"),
    "score": ("open(f'/proc/{pid}/oom_score_adj', 'w').write('1000')", "EACCES"),
    "move_pages": ("call('move_pages', pid, 0, 0, 0, 0, 0)", "ENOSYS"),
    "madvise": ("call('process_madvise', os.pidfd_open(pid), 0, 0, 4, 0)", "ENOSYS"),
    "namespaces": ("call('setns', os.pidfd_open(pid), 0x20000000)", "EPERM"),
    "perf": ("call('perf_event_open', 0, pid, -1, -1, 0)", "EPERM"),
}


@pytest.mark.parametrize("target", BOTH)
@pytest.mark.parametrize("name", ON_A_PROCESS)
def test_another_process_cannot_be_touched(sandbox: Sandbox, target: str, name: str):
    """Neither stopped, read, written, slowed, limited nor followed: each refused with its error."""
    expression, error = ON_A_PROCESS[name]
    code = f"{TOOLS}\npid = {target}\ntell(attempt(lambda: {expression}))"
    assert sandbox.value(code) == error


PROC_FILES = """
result = {}
for base in (f"/proc/{pid}", f"/proc/{pid}/task/{pid}"):
    for name in ("mem", "environ", "maps", "smaps", "auxv", "stack", "syscall", "io", "pagemap", "personality"):
        result[base + name] = attempt(lambda: open(f"{base}/{name}", "rb").read(1))
    for name in ("fd", "fdinfo", "map_files", "ns"):
        if os.path.exists(f"{base}/{name}"):
            links = lambda: [os.readlink(f"{base}/{name}/{entry}") for entry in os.listdir(f"{base}/{name}")]
            result[base + name] = attempt(links)
    for name in ("root", "cwd", "exe", "fd/0", "fd/3", "ns/mnt"):
        result[base + name] = attempt(lambda: os.readlink(f"{base}/{name}"))
        result[base + name + " open"] = attempt(lambda: os.open(f"{base}/{name}", os.O_RDONLY))
tell(result)
"""


@pytest.mark.parametrize("target", BOTH)
def test_the_proc_files_of_another_process_are_closed(sandbox: Sandbox, target: str):
    """Memory, descriptors, environment, root, maps, name spaces; by the process's and by its thread's directory."""
    result = sandbox.value(f"{TOOLS}\npid = {target}\n{PROC_FILES}")
    assert {name: error for name, error in result.items() if error not in ("EACCES", "EPERM")} == {}


def test_the_supervisors_directory_and_socket_are_closed(sandbox: Sandbox):
    """Not listed, not entered, not replaced, not connected to, under any name."""
    result = sandbox.value(
        TOOLS + "\n"
        "def connect(path):\n"
        "    with socket.socket(socket.AF_UNIX) as s: s.connect(path)\n"
        "path = '/run/sandbank'\n"
        "tell([attempt(work) for work in (\n"
        "    lambda: os.listdir(path), lambda: os.listdir(path + '/host'), lambda: os.mkdir(path + '/x'),\n"
        "    lambda: os.symlink('/', path + '/host/runner.sock'), lambda: os.unlink(path + '/host/runner.sock'),\n"
        "    lambda: os.rename(path, '/tmp/x'), lambda: os.rmdir(path), lambda: os.chmod(path, 0o777),\n"
        "    lambda: os.stat(path + '/host/runner.sock'), lambda: connect(path + '/host/runner.sock'),\n"
        "    lambda: connect('/proc/1/root/run/sandbank/host/runner.sock'), lambda: os.chdir(path),\n"
        ")])"
    )
    assert set(result) <= {"EACCES", "EPERM", "EROFS", "EBUSY", "EXDEV"}, result


USERS = """
result = {}
for name, pid in {**strangers(), "root": None}.items():
    uid = int(status_of(pid)["Uid"].split()[0]) if pid else 0
    result[name] = [attempt(work) for work in (
        lambda: os.setuid(uid), lambda: os.seteuid(uid), lambda: os.setresuid(-1, -1, uid),
        lambda: os.setgid(uid), lambda: os.setresgid(uid, uid, uid), lambda: os.setgroups([uid]),
        lambda: os.chown("/workspace", uid, -1), lambda: os.chown("/workspace", -1, uid),
    )]
tell(result)
"""


def test_no_other_user_can_be_become(sandbox: Sandbox):
    """Root, supervisor and template are out of reach by every call; only S, a sleeper's, is not."""
    result = sandbox.value(TOOLS + USERS)
    assert {error for errors in result.values() for error in errors} == {"EPERM"}


CAPABILITIES = """
import shutil
header, every = struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0xffffffff] * 6)
on_file = struct.pack("<5I", 0x2000001, 0xffffffff, 0, 0xffffffff, 0)

def prctl(*arguments):
    if libc.prctl(*map(ctypes.c_ulong, arguments)) < 0:
        raise OSError(ctypes.get_errno(), "prctl")

shutil.copy("/bin/cat", "cat")
os.chmod("cat", 0o6755)
tell([attempt(work) for work in (
    lambda: call("capset", header, every), lambda: prctl(28, 0), lambda: prctl(47, 2, 21, 0, 0),
    lambda: prctl(24, 21, 0, 0, 0), lambda: os.setxattr("cat", "security.capability", on_file),
)] + [status_of("self")["CapEff"], status_of("self")["CapBnd"]])
"""


def test_no_capability_can_be_had(sandbox: Sandbox):
    """By capset, securebits, the ambient set, keepcaps, a set-user-id file, or a file with capabilities."""
    result = sandbox.value(TOOLS + CAPABILITIES)
    assert result[:5] == ["EPERM"] * 5
    assert result[5:] == ["0" * 16] * 2


SCORES = """
paths = ["/proc/self/oom_score_adj", "/proc/self/oom_adj", f"/proc/{os.getpid()}/oom_score_adj",
         "/proc/thread-self/oom_score_adj"]
tell([attempt(lambda: open(path, "w").write("0")) for path in paths] + [open(paths[0]).read()])
"""


def test_its_own_score_cannot_be_lowered(sandbox: Sandbox):
    """Not even by the process itself, its children, or through another mount of /proc."""
    result = sandbox.value(TOOLS + SCORES)
    assert result == ["EACCES", "EACCES", "EACCES", "EACCES", "600\n"]


LIMITS = """
def raise_limit(kind):
    try:
        resource.setrlimit(kind, (10**6, 10**6))
    except ValueError:  # Python's word for EPERM here
        raise OSError(errno.EPERM, "setrlimit")

kinds = (resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)
tell([attempt(lambda: raise_limit(kind)) for kind in kinds]
     + [attempt(lambda: os.nice(-5)), attempt(lambda: os.sched_setaffinity(0, range(os.cpu_count())))])
"""


def test_limits_cannot_be_raised(sandbox: Sandbox):
    """Processes, descriptors, core files, niceness and CPUs stay as they were given."""
    result = sandbox.value(TOOLS + LIMITS)
    assert set(result[:3]) == {"EPERM"}
    assert set(result[3:]) <= {"EPERM", "EACCES"}


KERNEL = {
    "EPERM": [
        "call('mount', b'none', b'/tmp', b'tmpfs', 0, 0)", "call('umount2', b'/tmp', 0)",
        "call('pivot_root', b'/', b'/')", "os.chroot('/workspace')", "call('open_tree', -100, b'/', 1)",
        "call('fsopen', b'tmpfs', 0)", "call('fspick', -100, b'/', 0)", "call('move_mount', -1, b'', -1, b'', 0)",
        "call('mount_setattr', -100, b'/', 0, 0, 0)", "call('open_by_handle_at', -100, 0, 0)",
        "call('unshare', 0x10000000)", "call('unshare', 0x20000)", "call('unshare', 0x20000000)",
        "call('unshare', 0x40000000)", "call('unshare', 0x02000000)", "call('unshare', 0x400)",
        "call('clone', 0x10000000 | 17, 0, 0, 0, 0)", "call('clone', 0x20000000 | 17, 0, 0, 0, 0)",
        "call('clone', 0x40000000 | 17, 0, 0, 0, 0)", "call('setns', 0, 0)",
        "call('keyctl', 0, -3, 0, 0, 0)", "call('add_key', b'user', b'x', b'y', 1, -2)",
        "call('request_key', b'user', b'x', 0, 0)", "call('bpf', 0, 0, 0)", "call('perf_event_open', 0, 0, -1, -1, 0)",
        "call('ptrace', 0, 0, 0, 0)", "call('personality', 0x0400000)", "os.mknod('dev', 0o600 | 0o020000, 0x105)",
        "call('sethostname', b'x', 1)", "call('setdomainname', b'x', 1)",
        "call('reboot', 0xfee1dead, 0x28121969, 0, 0)",
        "call('init_module', 0, 0, b'')", "call('finit_module', 0, b'', 0)", "call('delete_module', b'x', 0)",
        "call('kexec_load', 0, 0, 0, 0)", "call('swapon', b'/tmp', 0)", "call('swapoff', b'/tmp')",
        "call('acct', 0)", "call('quotactl', 0, 0, 0, 0)", "call('syslog', 3, 0, 0)", "call('vhangup')",
        "call('clock_settime', 0, struct.pack('2q', 0, 0))",
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)",
        "socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)",
    ],
    "ENOSYS": [
        "call('clone3', 0, 0)", "call('io_uring_setup', 1, 0)", "call('io_uring_enter', 0, 0, 0, 0, 0, 0)",
        "call('io_uring_register', 0, 0, 0, 0)", "call('userfaultfd', 0)", "call('userfaultfd', 1)",
        "call('memfd_secret', 0)", "call('pkey_alloc', 0, 0)", "call('io_setup', 1, 0)", "call('vmsplice', 0, 0, 0, 0)",
        "call('splice', 0, 0, 0, 0, 0, 0)", "call('tee', 0, 0, 0, 0)", "call('execveat', -100, b'x', 0, 0, 0)",
        "call('shmget', 0, 4096, 0o1600)", "call('semget', 0, 1, 0o1600)", "call('msgget', 0, 0o1600)",
        "call('mq_open', b'x', 0o102, 0o600, 0)", "call('fanotify_init', 0, 0)",
        "call('name_to_handle_at', -100, b'/', 0, 0, 0)",
        "call('mbind', 0, 0, 0, 0, 0, 0)", "call('set_mempolicy', 0, 0, 0)", "call('migrate_pages', 0, 0, 0, 0)",
    ],
    "EAFNOSUPPORT": [
        f"socket.socket({family}, {kind})"
        for family, kind in ((16, 3), (17, 3), (38, 5), (40, 1), (31, 3), (29, 3), (30, 1), (44, 3), (21, 5), (15, 3),
                             (39, 1), (43, 1), (42, 2), (4, 2), (5, 2), (9, 5), (3, 2), (45, 1))
    ],
    "ENETUNREACH": ["socket.create_connection(('192.0.2.1', 80), 1)"],
    "EADDRNOTAVAIL": ["socket.create_connection(('2001:db8::1', 80), 1)"],
}  # fmt: skip


@pytest.mark.parametrize("error", KERNEL)
def test_interfaces_of_the_kernel_that_user_code_does_not_need_are_closed(sandbox: Sandbox, error: str):
    """Mounts, namespaces, keys, tracing, rings, raw and exotic sockets: each call with its error."""
    attempts = "".join(f"result[{work!r}] = attempt(lambda: {work})\n" for work in KERNEL[error])
    result = sandbox.value(f"{TOOLS}\nresult = {{}}\n{attempts}tell(result)")
    unexpected = {work: got for work, got in result.items() if got != error}
    if error == "EPERM":  # modify_ldt and its like exist on one machine only; EACCES is as closed
        unexpected = {work: got for work, got in unexpected.items() if got not in ("ENOSYS", "EACCES")}
    assert unexpected == {}


OUTSIDE = """
result = {}
for path in (
    "/x", "/etc/passwd", "/usr/x", "/opt/x", "/var/tmp/x", "/home/x", "/root/x", "/run/x", "/dev/x", "/srv/x",
    "/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger",
    "/proc/self/attr/current", "/proc/self/comm", "/proc/self/coredump_filter", "/proc/self/clear_refs",
    "/proc/self/uid_map", "/sys/kernel/x", "/dev/mem", "/dev/kmsg", "/dev/mqueue/x",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/cgroup.procs",
    sys.prefix + "/x", sys.executable,
):
    result[path] = attempt(lambda: os.close(os.open(path, os.O_WRONLY | os.O_CREAT)))
tell(result)
"""


def test_nothing_outside_workspace_and_temporary_files_can_be_written(sandbox: Sandbox):
    """The root, system directories, /proc/sys, /sys, devices, control groups."""
    result = sandbox.value(TOOLS + OUTSIDE)
    allowed = {"EACCES", "EROFS", "EPERM", "ENOENT"}
    assert {path: error for path, error in result.items() if error not in allowed} == {}


def test_temporary_file_systems_run_nothing_and_have_no_devices(sandbox: Sandbox):
    """/tmp and /dev/shm are noexec; the workspace is not, for compiled modules."""
    result = sandbox.value(
        TOOLS + "\nimport shutil, subprocess\nresult = {}\n"
        "for directory in ('/tmp', '/dev/shm', '/workspace'):\n"
        "    shutil.copy('/bin/true', directory + '/program')\n"
        "    result[directory] = attempt(lambda: subprocess.run([directory + '/program']))\n"
        "tell(result)"
    )
    assert result == {"/tmp": "EACCES", "/dev/shm": "EACCES", "/workspace": "done"}


def test_input_cannot_be_pushed_into_a_terminal(sandbox: Sandbox):
    """TIOCSTI and TIOCLINUX on a terminal of its own."""
    result = sandbox.value(
        TOOLS + "\nimport fcntl, pty\nmaster, slave = pty.openpty()\n"
        "tell([attempt(lambda: fcntl.ioctl(slave, 0x5412, b'x')), attempt(lambda: fcntl.ioctl(slave, 0x541C, b'x'))])"
    )
    assert result == ["EPERM", "EPERM"]


def test_a_crash_leaves_no_core(sandbox: Sandbox):
    """Not in the workspace, nor anywhere that could be written."""
    assert sandbox.run("import os; os.abort()").state == "CRASHED"
    code = "\ntell([n for d in ('/workspace', '/tmp', '/dev/shm') for n in os.listdir(d) if 'core' in n])"
    assert sandbox.value(TOOLS + code) == []


def test_a_forged_message_on_the_channel_is_dropped(sandbox: Sandbox):
    """A child holds the channel too; the kernel says who speaks."""
    ran = sandbox.run(
        "import os, struct, json\n"
        "head = json.dumps({'type': 'done', 'operation': 'op-1', 'ok': True, 'mime': [], 'error': None}).encode()\n"
        "if os.fork() == 0:\n"
        "    for n in range(3): os.write(250, b'\\0' + struct.pack('>I', len(head)) + head)\n"
        "    os.write(250, b'garbage'); os._exit(0)\n"
        "os.wait(); print('honest')"
    )
    assert (ran.state, ran.stdout) == ("SUCCEEDED", "honest\n")


def test_becoming_a_sleeper_ends_only_its_own_state(sandbox: Sandbox):
    """S is in reach, by design: it can signal sleepers, and neither the supervisor nor the template."""
    result = sandbox.value(
        TOOLS + "\nimport subprocess\n"
        "saved = int(status_of('self')['Uid'].split()[2])\n"
        "if os.fork() == 0:\n"
        "    os.setresuid(saved, saved, saved)\n"
        "    os._exit(sum(attempt(lambda: os.kill(p, 9)) == 'EPERM' for p in (supervisor, template)))\n"
        "tell(os.waitstatus_to_exitcode(os.wait()[1]))"
    )
    assert result == 2
