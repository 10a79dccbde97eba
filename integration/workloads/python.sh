# An interpreter: threads, processes, shared memory, asyncio, TLS, a database in a file; then a virtual environment with
# a package in it.
mkdir /tmp/python
cd /tmp/python
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost -keyout key -out certificate
cat >everyday.py <<'PYTHON'
import asyncio, concurrent.futures, ctypes, mmap, multiprocessing, os, shutil, socket, sqlite3, ssl, subprocess, sys, tempfile
import threading, zipfile
from multiprocessing import shared_memory


def square(n):
    return n * n


def threads():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(square, range(100))) == 328350


def processes():
    for way in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(way).Pool(2) as pool:
            assert sum(pool.map(square, range(100))) == 328350
    memory = shared_memory.SharedMemory(create=True, size=4096)
    child = multiprocessing.Process(target=memory.buf.__setitem__, args=(0, 42))
    child.start()
    child.join()
    assert memory.buf[0] == 42
    memory.close()
    memory.unlink()
    assert subprocess.run(["cat"], input=b"piped", capture_output=True).stdout == b"piped"


def database():
    with sqlite3.connect("file.db") as db:
        assert db.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
        db.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)")
        db.executemany("INSERT INTO item (name) VALUES (?)", ((str(n),) for n in range(1000)))
    assert sqlite3.connect("file.db").execute("SELECT count(*) FROM item").fetchone() == (1000,)


def tls():
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain("certificate", "key")
    listener = socket.create_server(("localhost", 0))

    def answer():
        with server.wrap_socket(listener.accept()[0], server_side=True) as peer:
            peer.sendall(peer.recv(100).upper())

    thread = threading.Thread(target=answer)
    thread.start()
    client = ssl.create_default_context(cafile="certificate")
    with socket.create_connection(listener.getsockname()[:2]) as plain:
        with client.wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(b"hello")
            assert secure.recv(100) == b"HELLO"
    thread.join()


async def event_loop():
    async def answer(reader, writer):
        writer.write((await reader.readline()).upper())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello\n")
    assert await reader.readline() == b"HELLO\n"
    writer.close()
    child = await asyncio.create_subprocess_exec("echo", "child", stdout=asyncio.subprocess.PIPE)
    assert await child.stdout.read() == b"child\n" and await child.wait() == 0


def files():
    with tempfile.TemporaryDirectory() as place:
        shutil.copy2("/usr/bin/git", place)
        shutil.make_archive("archive", "gztar", place)
    descriptor = os.memfd_create("memory")
    os.write(descriptor, b"x" * 4096)
    assert mmap.mmap(descriptor, 4096)[0] == ord("x")
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 3)(3, 1, 2)
    ctypes.CDLL(None).qsort(numbers, 3, 4, compare(lambda a, b: a[0] - b[0]))
    assert list(numbers) == [1, 2, 3]


def wheel():
    with zipfile.ZipFile("greeting-1.0-py3-none-any.whl", "w") as archive:
        info = "greeting-1.0.dist-info/"
        archive.writestr("greeting.py", "def main(): print('installed')\n")
        archive.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(info + "entry_points.txt", "[console_scripts]\ngreeting = greeting:main\n")
        archive.writestr(info + "RECORD", "")


if __name__ == "__main__":
    threads()
    processes()
    database()
    tls()
    asyncio.run(event_loop())
    files()
    wheel()
PYTHON
python3 everyday.py
python3 -m venv environment
environment/bin/pip install --quiet --no-index ./greeting-1.0-py3-none-any.whl
[ "$(environment/bin/greeting)" = installed ]
works
