"""Attempts to get out of a sandbox, standard library only. Run as it is, in a sandbox and, for comparison, outside.

`TARGET`, a dict that is put in front, says what there is on the host: file, pid, port, socket, secret. The names of
the attempts that succeeded are printed as JSON.
"""

import ctypes
import json
import os
import platform
import socket
import struct
import sys

TARGET = globals()["TARGET"]
libc = ctypes.CDLL(None, use_errno=True)
found = []


def attempt(function):
    try:
        if function():
            found.append(function.__name__)
    except Exception:
        pass
    return function


def called(name, *arguments):
    return getattr(libc, name)(*(ctypes.c_ulong(argument) for argument in arguments)) >= 0


@attempt
def reads_a_file():
    return open(TARGET["file"]).read()


@attempt
def reads_it_through_a_link():
    os.symlink(TARGET["file"], "link")
    return open("link").read()


@attempt
def reads_it_upwards():
    return open("../" * 20 + TARGET["file"]).read()


@attempt
def links_it_here():
    os.link(TARGET["file"], "hard")
    return True


@attempt
def writes_it():
    with open(TARGET["file"], "a") as file:
        return file.write("touched")


@attempt
def writes_beside_it():
    with open(TARGET["file"] + ".new", "w") as file:
        return file.write("touched")


@attempt
def writes_the_root():
    open("/canary", "w").close()
    os.remove("/canary")
    return True


@attempt
def writes_the_standard_library():
    name = os.path.dirname(os.__file__) + "/canary.py"
    open(name, "w").close()
    os.remove(name)
    return True


@attempt
def sees_system_files():
    return [
        name for name in ("/etc/passwd", "/root", "/home", "/usr", "/bin/sh", "/tmp", "/sys") if os.path.exists(name)
    ]


@attempt
def reads_the_environment():
    return dict(os.environ)


@attempt
def finds_variables_where_the_c_library_keeps_them():
    return ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")[0]


@attempt
def reads_the_environment_of_others():
    return open(f"/proc/{TARGET['pid']}/environ").read()


@attempt
def sees_other_processes():
    return [name for name in os.listdir("/proc") if name.isdigit()]


@attempt
def signals_another():
    os.kill(TARGET["pid"], 0)
    return True


@attempt
def traces_another():
    return called("ptrace", 16, TARGET["pid"], 0, 0)  # until this process ends


@attempt
def reads_the_memory_of_another():
    return called("process_vm_readv", TARGET["pid"], 0, 0, 0, 0, 0)


@attempt
def connects():
    return socket.create_connection(("127.0.0.1", TARGET["port"]), timeout=1)


@attempt
def listens():
    return socket.create_server(("127.0.0.1", 0))


@attempt
def connects_to_a_socket_file():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(TARGET["socket"])
    return True


@attempt
def opens_any_socket():
    return [family for family in (1, 2, 10, 16, 40) if libc.socket(family, 2, 0) >= 0]


@attempt
def has_connected_sockets_of_other_kinds():
    pair = (ctypes.c_int * 2)()
    return [family for family in (2, 30) if libc.socketpair(family, 1, 0, pair) >= 0]


@attempt
def forks():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return True


@attempt
def forks_by_the_oldest_calls():
    # What the C library no longer uses is still there on x86-64.
    child = libc.syscall(57) if platform.machine() == "x86_64" else os.fork()
    if child == 0:
        os._exit(0)
    return child > 0 and os.waitpid(child, 0)


@attempt
def has_files_open():
    return [number for number in range(3, 64) if libc.fcntl(number, 1) >= 0]


@attempt
def starts_a_program():
    return os.posix_spawn(sys.executable, [sys.executable, "-c", ""], {})


@attempt
def starts_a_thread():
    import threading

    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    return True


@attempt
def holds_memory_that_nothing_counts():
    return os.memfd_create("hidden")


@attempt
def shares_memory():
    segment = libc.shmget(0, 4096, 0o1600)
    return segment >= 0 and libc.shmctl(segment, 0, None) == 0


@attempt
def asks_the_kernel_to_work():
    return libc.syscall(425, 1, (ctypes.c_char * 120)()) >= 0


@attempt
def has_rights():
    header, data = struct.pack("II", 0x20080522, 0), ctypes.create_string_buffer(24)
    libc.capget(ctypes.create_string_buffer(header, 8), data)
    return any(data.raw) or os.geteuid() == 0


@attempt
def enters_a_namespace():
    # In a child, since what it does to this process would last.
    child = os.fork()
    if child == 0:
        os._exit(0 if called("unshare", 0x10000000) else 1)
    return os.waitpid(child, 0)[1] == 0


@attempt
def raises_a_limit():
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return before


@attempt
def knows_the_name_of_the_host():
    return os.uname().nodename == TARGET["host"]


@attempt
def imports_what_is_installed():
    import pip

    return pip


print(json.dumps(found))
